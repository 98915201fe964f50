@disruptive
Feature: Disable
  An operator takes a node out of service and back; whoever is in a meeting does not notice.

  Background:
    Given at least 3 nodes are enabled and online
    And new meetings reach each of them

  Scenario: a disabled node gets no new meeting, its sisters do
    Given an idle node is disabled
    When a front end creates 2 meetings for each node
    Then within 5 seconds the node hosts none of them
    And within 5 seconds each of its sisters hosts some of them

  Scenario: a node that is enabled again gets new meetings
    Given an idle node is disabled
    When the node is enabled again and online within 30 seconds
    And a front end creates 2 meetings for each node
    Then within 5 seconds the node hosts some of them

  Scenario: a draining node keeps its running meeting and gets no new one
    Given a running meeting on an otherwise idle node
    When the node is drained
    And a front end creates 2 meetings for each node
    Then within 5 seconds the node hosts none of them
    And within 10 seconds the running meeting takes another user, on the same node
