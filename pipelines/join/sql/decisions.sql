-- Decision log + request log -> requests and labels, as join.sql takes them.
--
-- Common SQL, as in join.sql. Inputs: logged_requests, label_files, decisions, feedback (columns of
-- pipelines/schemas.py and its provenance; row_id of decisions goes on from logged_requests, that
-- of feedback from label_files), settings, label_ranks.
--
-- A decision and a request log row belong together if the row names the decision, or else if their
-- request_id is the same.

-- step: feedback_checks
-- Who may not label others' decisions labels those that the same caller asked for.
SELECT f.*,
       CASE WHEN f.time > s.as_of THEN 'after_as_of'
            WHEN f.labels_others = FALSE AND d.decision_id IS NOT NULL
                 AND (d.caller IS NULL OR d.caller <> f.caller) THEN 'not_own_decision'
       END AS rule,
       CASE WHEN f.problem IS NOT NULL THEN f.problem
            WHEN f.decision_id IS NULL OR f.decision_id = '' THEN 'missing_decision_id'
            WHEN f.time IS NULL THEN 'missing_time'
            WHEN f.time < TIMESTAMP '2000-01-01 00:00:00'
                 OR f.time > TIMESTAMP '2100-01-01 00:00:00' THEN 'absurd_time'
            WHEN f.quality IS NOT NULL AND k.priority IS NULL THEN 'unknown_source'
            WHEN NOT (f.quality >= 0 AND f.quality <= 1 AND f.quality - f.quality = 0)
                THEN 'value_out_of_range'
       END AS reason
FROM feedback f
CROSS JOIN settings s
LEFT JOIN (SELECT decision_id, min(caller) AS caller FROM decisions
           WHERE decision_id IS NOT NULL GROUP BY decision_id) d ON d.decision_id = f.decision_id
LEFT JOIN label_ranks k ON k.source = f.source

-- step: feedback_ranks, keep
-- Of one decision and name the latest quality holds, and the latest report without one.
SELECT row_id, decision_id, coalesce(name, 'quality') AS name, source, time, quality,
       candidate_served, input_tokens, output_tokens, cost_usd, latency_ms, ttft_ms, status,
       error_class, answer,
       coalesce(candidate_served, status, answer) IS NOT NULL
           OR coalesce(input_tokens, output_tokens) IS NOT NULL
           OR coalesce(cost_usd, latency_ms, ttft_ms) IS NOT NULL
           OR error_class IS NOT NULL AS reports,
       row_number() OVER (PARTITION BY decision_id, coalesce(name, 'quality'), quality IS NULL
                          ORDER BY time DESC, row_id DESC) AS age,
       max(time) OVER (PARTITION BY decision_id, coalesce(name, 'quality'), quality IS NULL)
           AS latest
FROM feedback_checks
WHERE rule IS NULL AND reason IS NULL

-- step: reports, keep
-- What was said of a decision besides quality: of every column the latest value.
SELECT decision_id,
       max_by(candidate_served, CASE WHEN candidate_served IS NOT NULL THEN time END)
           AS candidate_served,
       max_by(input_tokens, CASE WHEN input_tokens IS NOT NULL THEN time END) AS input_tokens,
       max_by(output_tokens, CASE WHEN output_tokens IS NOT NULL THEN time END) AS output_tokens,
       max_by(cost_usd, CASE WHEN cost_usd IS NOT NULL THEN time END) AS cost_usd,
       max_by(latency_ms, CASE WHEN latency_ms IS NOT NULL THEN time END) AS latency_ms,
       max_by(ttft_ms, CASE WHEN ttft_ms IS NOT NULL THEN time END) AS ttft_ms,
       max_by(status, CASE WHEN status IS NOT NULL THEN time END) AS status,
       max_by(error_class, CASE WHEN error_class IS NOT NULL THEN time END) AS error_class,
       max_by(answer, CASE WHEN answer IS NOT NULL THEN time END) AS answer
FROM feedback_ranks
WHERE age = 1 AND reports
GROUP BY decision_id

-- step: decision_checks, keep
SELECT d.row_id, d.decision_id, d.request_id, d.time,
       coalesce(d.request_id, d.decision_id) AS asked,
       concat(coalesce(d.candidate_chosen, ''), ' ', coalesce(CAST(d.propensity AS STRING), ''), ' ',
              coalesce(CAST(d.time AS STRING), ''), ' ', coalesce(d.request_id, '')) AS content,
       CASE WHEN d.exclusion IS NOT NULL THEN d.exclusion
            WHEN d.time > s.as_of THEN 'after_as_of' END AS rule,
       CASE WHEN d.problem IS NOT NULL THEN d.problem
            WHEN d.decision_id IS NULL OR d.decision_id = '' THEN 'missing_decision_id'
            WHEN d.time IS NULL THEN 'missing_time'
            WHEN d.candidate_chosen IS NULL OR d.candidate_chosen = '' THEN 'missing_candidate'
       END AS reason
FROM decisions d
CROSS JOIN settings s

-- step: decision_copies, keep
SELECT row_id, decision_id, asked, time,
       row_number() OVER (PARTITION BY decision_id ORDER BY row_id) AS copy,
       min(content) OVER (PARTITION BY decision_id)
       <> max(content) OVER (PARTITION BY decision_id) AS disagree
FROM decision_checks
WHERE rule IS NULL AND reason IS NULL

-- step: decision_ranks, keep
-- A request that was routed again was served by its last decision.
SELECT row_id, decision_id,
       row_number() OVER (PARTITION BY asked ORDER BY time DESC, row_id DESC) AS age
FROM decision_copies
WHERE copy = 1 AND NOT disagree

-- step: current_decisions
SELECT d.*, u.candidate_served AS reported_candidate, u.input_tokens AS reported_input_tokens,
       u.output_tokens AS reported_output_tokens, u.cost_usd AS reported_cost_usd,
       u.latency_ms AS reported_latency_ms, u.ttft_ms AS reported_ttft_ms,
       u.status AS reported_status, u.error_class AS reported_error_class,
       u.answer AS reported_answer
FROM decisions d
JOIN decision_ranks k ON k.row_id = d.row_id AND k.age = 1
LEFT JOIN reports u ON u.decision_id = d.decision_id

-- step: matches, keep
SELECT r.row_id AS request_row, coalesce(a.row_id, b.row_id) AS decision_row
FROM logged_requests r
LEFT JOIN (SELECT k.row_id, k.decision_id FROM decision_ranks k WHERE k.age = 1) a
       ON a.decision_id = r.decision_id
LEFT JOIN (SELECT c.row_id, c.request_id
           FROM decision_ranks k JOIN decision_checks c ON c.row_id = k.row_id
           WHERE k.age = 1 AND c.request_id IS NOT NULL) b
       ON b.request_id = r.request_id
WHERE a.row_id IS NOT NULL OR b.row_id IS NOT NULL

-- step: requests, keep
-- The decision knows what was chosen from what; the request log knows what came of it, and feedback
-- fills in what it lacks. Text may stand in either.
SELECT r.request_id, coalesce(d.decision_id, r.decision_id) AS decision_id, r.time,
       CASE WHEN r.query IS NULL THEN d.query_id ELSE r.query_id END AS query_id,
       CASE WHEN r.query IS NULL THEN d.group_id ELSE r.group_id END AS group_id,
       coalesce(r.session_id, d.session_id) AS session_id, r.user_id, r.tenant,
       coalesce(d.candidate_chosen, r.candidate_chosen) AS candidate_chosen,
       r.candidate_served,
       CASE WHEN d.row_id IS NULL THEN r.eligible ELSE d.eligible END AS eligible,
       CASE WHEN d.row_id IS NULL THEN r.propensity ELSE d.propensity END AS propensity,
       CASE WHEN d.row_id IS NULL THEN r.action_probs ELSE d.action_probs END AS action_probs,
       coalesce(d.policy_version, r.policy_version) AS policy_version,
       CASE WHEN r.query IS NULL THEN d.query ELSE r.query END AS query,
       CASE WHEN r.query IS NULL THEN d.messages ELSE r.messages END AS messages,
       CASE WHEN r.query IS NULL THEN d.tools ELSE r.tools END AS tools,
       coalesce(r.answer, d.reported_answer) AS answer,
       coalesce(r.input_tokens, d.reported_input_tokens) AS input_tokens,
       coalesce(r.output_tokens, d.reported_output_tokens) AS output_tokens,
       r.cached_input_tokens, r.cache_write_tokens, r.audio_input_tokens, r.audio_output_tokens,
       r.service_tier,
       coalesce(r.cost_usd, d.reported_cost_usd) AS cost_usd,
       coalesce(r.latency_ms, d.reported_latency_ms) AS latency_ms,
       coalesce(r.ttft_ms, d.reported_ttft_ms) AS ttft_ms,
       coalesce(r.status, d.reported_status) AS status,
       coalesce(r.error_class, d.reported_error_class) AS error_class,
       r.finish_reason, r.cache_hit,
       r.row_id, r.source_file, r.source_line, r.problem, r.detail, r.exclusion, r.repair,
       r.zoneless, r.raw, r.origin
FROM logged_requests r
LEFT JOIN matches m ON m.request_row = r.row_id
LEFT JOIN current_decisions d ON d.row_id = m.decision_row
UNION ALL
SELECT coalesce(d.request_id, d.decision_id), d.decision_id, d.time, d.query_id, d.group_id,
       d.session_id, d.user_id, d.tenant, d.candidate_chosen,
       coalesce(d.reported_candidate, d.candidate_chosen), d.eligible, d.propensity,
       d.action_probs, d.policy_version, d.query, d.messages, d.tools, d.reported_answer,
       nullif(d.reported_input_tokens, 0), d.reported_output_tokens, d.cached_input_tokens,
       d.cache_write_tokens, d.audio_input_tokens, d.audio_output_tokens, d.service_tier,
       d.reported_cost_usd, d.reported_latency_ms, d.reported_ttft_ms, d.reported_status,
       d.reported_error_class,
       d.finish_reason, d.cache_hit, d.row_id, d.source_file, d.source_line, d.problem, d.detail, d.exclusion,
       d.repair, d.zoneless, d.raw, d.origin
FROM current_decisions d
LEFT JOIN (SELECT DISTINCT decision_row FROM matches) m ON m.decision_row = d.row_id
WHERE m.decision_row IS NULL

-- step: labels, keep
-- Qualities of feedback are labels like others, and those of a decision go to its latest request.
SELECT request_id, name, value, source, weight, time, n_trials, n_success, label_prob, row_id,
       source_file, source_line, problem, detail, exclusion, repair, zoneless, raw, origin
FROM label_files
UNION ALL
SELECT r.request_id, k.name, k.quality, k.source, CAST(NULL AS DOUBLE), k.time,
       CAST(NULL AS BIGINT), CAST(NULL AS BIGINT), CAST(NULL AS DOUBLE), f.row_id,
       f.source_file, f.source_line, f.problem, f.detail, f.exclusion, f.repair, f.zoneless, f.raw,
       f.origin
FROM feedback_ranks k
JOIN feedback f ON f.row_id = k.row_id
JOIN (SELECT decision_id, max_by(request_id, time) AS request_id
      FROM requests WHERE decision_id IS NOT NULL GROUP BY decision_id) r
  ON r.decision_id = k.decision_id
WHERE k.age = 1 AND k.quality IS NOT NULL
