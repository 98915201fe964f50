Feature: Join
  Users get in with the role that their front end gave them, and in no other way.

  Scenario Outline: a <person> is seen in the meeting as <role>
    Given a meeting
    When a <person> joins with a browser
    Then within 20 seconds the meeting shows the <person> as <role>

    Examples:
      | person  | role      |
      | teacher | MODERATOR |
      | learner | VIEWER    |

  Scenario: a guest waits for a moderator
    Given a meeting whose guests need a moderator's approval
    When a guest follows the join link
    Then within 5 seconds the guest is asked to wait

  Scenario Outline: a join link with <flaw> is refused
    Given a meeting
    When a user follows a join link with <flaw>
    Then within 5 seconds the join is refused with checksumError

    Examples:
      | flaw                   |
      | a wrong signature      |
      | a changed role         |
      | a node's own signature |

  Scenario: a join link from before a re-create is refused
    Given a meeting
    And a join link with its createTime
    When the meeting is ended, gone within 20 seconds, and created again
    Then within 5 seconds the old join link is refused with mismatchCreateTimeParam

  Scenario: a failed join is explained on an accessible page
    Given a join link to a meeting that does not exist
    When a user opens the join link with a browser
    Then within 10 seconds a page explains the failure
    And the page has no accessibility problem
