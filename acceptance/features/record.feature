Feature: Record
  What was recorded on any node can be found and played through the balancer.

  Scenario: recordings of more than one node appear through the balancer
    Given nodes can hand recordings over to the spool
    And recorded meetings on 2 nodes, with a user talking in each
    When the recorded meetings are ended
    Then within the publishing deadline the balancer lists a recording of each meeting

  Scenario: node and balancer agree about a recording
    Given recordings that the balancer lists
    Then within the publishing deadline getRecordings of the balancer agrees with the node's

  Scenario: a recording plays in a browser
    Given recordings that the balancer lists
    When a user opens the playback of each format with a browser
    Then within 20 seconds each playback page has loaded with all its files
    And no playback page has an accessibility problem

  Scenario: every file that a player requests loads over HTTPS
    Given recordings that the balancer lists
    Then within 20 seconds each file of each recording loads as on its node
