Feature: Edge
  The endpoint is reached over HTTPS with a valid certificate, and keeps its secrets.

  Scenario: the endpoint answers over HTTPS with a valid certificate
    When a front end asks the endpoint for its version
    Then within 5 seconds the endpoint answers, with a certificate that is valid for its name

  Scenario: plain HTTP leads to HTTPS
    When a user opens the endpoint with http instead of https
    Then within 5 seconds the user is redirected to https on the same host

  Scenario: no page, header or log holds a secret
    Given a meeting
    And pages, answers and failures of every kind, fetched within 30 seconds
    Then no fetched page or header holds a secret
    And no log of this run holds a secret

  Scenario: the balancer's secret is no node's secret
    Then the front end's secret and the nodes' secrets all differ
    And within 10 seconds each node refuses the front end's signature

  Scenario: internal pages are closed to the outside
    When a client outside the cluster asks for the internal pages
    Then within 5 seconds each internal page is refused
