Feature: Nodes
  Each node is itself, is seen by the balancer, and reports what it does.

  Scenario: each node is online with a fresh load
    Then within 15 seconds each node is online with a load younger than three poll intervals

  Scenario: each node bears its own host name
    Then within 10 seconds each node's host calls itself by the name in its URL

  Scenario: no two nodes share an identity
    Then within 20 seconds each node's server URL, secret, machine id, ssh host keys and TLS key are its own

  Scenario: each node sends people to itself
    Given a meeting of ours on each node
    Then within 10 seconds each node's join link leads to that node

  Scenario: each node's statistics follow its meetings
    Given a meeting of ours on each node
    Then within 10 seconds each node lists its meeting among the running ones
