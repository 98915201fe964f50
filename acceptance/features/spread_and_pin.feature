Feature: Spread and pin
  New meetings spread over the nodes; a running meeting stays on the node where it began.

  Scenario: new meetings spread over the enabled nodes
    Given every node is enabled and online
    And the nodes' loads are close together
    When a front end creates 2 meetings for each node
    Then within 5 seconds each new meeting runs on the node that its users are sent to
    And the new meetings are spread evenly over the nodes

  Scenario: a running meeting stays on its node
    Given running meetings on 2 nodes
    When the front end creates each meeting again
    Then within 5 seconds each meeting is still the same, on the same node
    When another user joins each meeting
    Then within 20 seconds each meeting shows 2 users, on the node where it began

  Scenario: an ended meeting is gone from its node
    Given meetings on 2 nodes
    When each meeting is ended
    Then within 20 seconds neither the balancer nor the meeting's node knows any ended meeting
