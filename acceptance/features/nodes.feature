Feature: Nodes
  Each node has its own identity, is online for the balancer, and reports its meetings.

  Scenario: each node is online with a fresh load
    Then within 15 seconds each node is online with a load younger than three poll intervals

  Scenario: each node has its own host name
    Then within 10 seconds each node's host name is the one in its URL

  Scenario: no two nodes share an identity
    Then within 20 seconds each node's server URL, secret, machine id, ssh host keys and TLS key are unique

  Scenario: each node sends users to itself
    Given a test meeting on each node
    Then within 10 seconds each node's join link leads to that node

  Scenario: each node's statistics follow its meetings
    Given a test meeting on each node
    Then within 10 seconds each node lists its test meeting among the running ones
