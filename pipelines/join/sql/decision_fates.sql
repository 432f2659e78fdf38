-- What became of every row of a decision log; runs after the steps of join.sql that decide fates.

-- step: decision_fates, keep
SELECT row_id, decision_id, CASE WHEN rule IS NOT NULL THEN 'excluded' ELSE 'rejected' END AS fate,
       coalesce(rule, reason) AS reason
FROM decision_checks WHERE rule IS NOT NULL OR reason IS NOT NULL
UNION ALL
SELECT row_id, decision_id, CASE WHEN disagree THEN 'rejected' ELSE 'collapsed' END,
       CASE WHEN disagree THEN 'conflicting_decision_id' ELSE 'duplicate' END
FROM decision_copies WHERE disagree OR copy > 1
UNION ALL
SELECT row_id, decision_id, 'excluded', 'superseded' FROM decision_ranks WHERE age > 1
UNION ALL
SELECT k.row_id, k.decision_id,
       CASE WHEN m.used = 1 THEN 'used' ELSE 'excluded' END,
       CASE WHEN m.used = 1 THEN 'with_request' ELSE 'request_not_used' END
FROM decision_ranks k
JOIN (SELECT m.decision_row, max(CASE WHEN f.fate = 'used' THEN 1 ELSE 0 END) AS used
      FROM matches m JOIN request_fates f ON f.row_id = m.request_row
      GROUP BY m.decision_row) m
  ON m.decision_row = k.row_id
UNION ALL
SELECT f.row_id, k.decision_id, f.fate,
       CASE WHEN f.fate = 'used' THEN 'alone' ELSE f.reason END
FROM request_fates f
JOIN decision_ranks k ON k.row_id = f.row_id
WHERE f.origin = 'decisions'

-- step: feedback_fates, keep
SELECT c.row_id,
       CASE WHEN c.rule IS NOT NULL THEN 'excluded'
            WHEN c.reason IS NOT NULL OR d.decision_id IS NULL THEN 'rejected'
            WHEN k.age > 1 THEN 'collapsed'
            WHEN d.used = 0 THEN 'excluded'
            WHEN k.reports THEN 'used'
            WHEN k.quality IS NULL OR l.rule IS NOT NULL THEN 'excluded'
            ELSE l.fate END AS fate,
       CASE WHEN c.rule IS NOT NULL THEN c.rule
            WHEN c.reason IS NOT NULL THEN c.reason
            WHEN d.decision_id IS NULL THEN 'no_decision'
            WHEN k.age > 1 THEN CASE WHEN k.time = k.latest THEN 'duplicate'
                                     ELSE 'superseded' END
            WHEN d.used = 0 THEN 'decision_not_used'
            WHEN k.reports THEN NULL
            WHEN k.quality IS NULL THEN 'says_nothing'
            WHEN l.rule IS NOT NULL THEN l.rule
            ELSE l.reason END AS reason
FROM feedback_checks c
LEFT JOIN feedback_ranks k ON k.row_id = c.row_id
LEFT JOIN (SELECT decision_id, max(CASE WHEN fate = 'used' THEN 1 ELSE 0 END) AS used
           FROM decision_fates WHERE decision_id IS NOT NULL GROUP BY decision_id) d
       ON d.decision_id = c.decision_id
LEFT JOIN (SELECT b.row_id, b.rule, coalesce(f.fate, 'rejected') AS fate,
                  coalesce(f.reason, b.reason) AS reason
           FROM label_checks b LEFT JOIN label_fates f ON f.row_id = b.row_id
           WHERE b.origin = 'feedback') l
       ON l.row_id = c.row_id

-- step: rejected_decisions, keep
SELECT d.*, d.decision_id AS key, f.reason
FROM (SELECT row_id, reason FROM decision_fates WHERE fate = 'rejected') f
JOIN decisions d ON d.row_id = f.row_id

-- step: rejected_feedback, keep
SELECT c.*, c.decision_id AS key, f.reason
FROM (SELECT row_id, reason FROM feedback_fates WHERE fate = 'rejected') f
JOIN feedback c ON c.row_id = f.row_id

-- step: decision_accounting
SELECT 'decisions' AS source, fate, reason, count(*) AS n FROM decision_fates GROUP BY fate, reason
UNION ALL
SELECT 'feedback', fate, reason, count(*) FROM feedback_fates GROUP BY fate, reason
