@disruptive
Feature: Disable
  An operator takes a node out of service and back. Users who are in a meeting do not notice.

  Background:
    Given at least 3 nodes are enabled and online
    And every enabled node gets new meetings

  Scenario: a disabled node gets no new meeting, other nodes do
    Given an idle node is disabled
    When a front end creates 2 meetings for each node
    Then within 5 seconds the node hosts none of the new meetings
    And within 5 seconds every other enabled node hosts some of the new meetings

  Scenario: a node that is enabled again gets new meetings
    Given an idle node is disabled
    When the node is enabled again and online within 30 seconds
    And a front end creates 2 meetings for each node
    Then within 5 seconds the node hosts some of the new meetings

  Scenario: a draining node keeps its running meeting and gets no new one
    Given a running meeting on an otherwise idle node
    When the node is drained
    And a front end creates 2 meetings for each node
    Then within 5 seconds the node hosts none of the new meetings
    And within 10 seconds another user can join the running meeting, on the same node
