Feature: Spread and pin
  New meetings spread over the nodes; a meeting that runs stays on the node where it began.

  Scenario: new meetings spread over the enabled nodes
    Given every node is enabled and online
    And the nodes' loads are close together
    When a front end creates 2 meetings for each node
    Then within 5 seconds they are spread evenly over the nodes

  Scenario: a running meeting stays on its node
    Given running meetings on 2 nodes
    When the front end creates each of them again
    Then within 5 seconds each is still the same meeting, on the same node
    When another user joins each of them
    Then within 20 seconds each of them shows 2 users, on the node where it began

  Scenario: an ended meeting is gone from its node
    Given meetings on 2 nodes
    When each of them is ended
    Then within 20 seconds neither the balancer nor any node knows them
