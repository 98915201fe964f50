Feature: Edge
  The endpoint is reached over HTTPS with a valid certificate, and keeps its secrets.

  Scenario: the endpoint answers over HTTPS with a valid certificate
    When a front end asks the endpoint for its version
    Then within 5 seconds it answers, with a certificate that is valid for its name

  Scenario: plain HTTP leads to HTTPS
    When somebody opens the endpoint with http instead of https
    Then within 5 seconds they are redirected to https on the same host

  Scenario: no page, header or log holds a secret
    Given a meeting
    And pages, answers and failures of every kind, fetched within 30 seconds
    Then none of them holds a secret
    And no log of this run holds a secret

  Scenario: the balancer's secret is no node's secret
    Then the front end's secret and the nodes' secrets all differ
    And within 10 seconds each node refuses the front end's signature

  Scenario: what the inside asks for is closed to the outside
    When somebody asks for the internal pages from outside
    Then within 5 seconds each is refused
