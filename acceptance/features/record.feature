Feature: Record
  What was recorded on any node can be found and played through the balancer.

  Scenario: recordings of more than one node appear through the balancer
    Given the spool is open to what nodes hand over
    And recorded meetings on 2 nodes, with somebody talking in each
    When they are ended
    Then within the publishing deadline the balancer lists a recording of each

  Scenario: node and balancer say the same about a recording
    Given recordings that the balancer lists
    Then within the publishing deadline getRecordings of the balancer agrees with the node's

  Scenario: a recording plays in a browser
    Given recordings that the balancer lists
    When somebody opens the playback of each format with a browser
    Then within 20 seconds each page has loaded with all that it asks for
    And no playback page has an accessibility problem

  Scenario: every file that a player asks for loads over HTTPS
    Given recordings that the balancer lists
    Then within 20 seconds each file of each recording loads as on its node
