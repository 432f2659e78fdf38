-- Request log + labels + prices -> outcomes, rejects, report.
--
-- Common SQL: runs unchanged on DuckDB and on Spark SQL. Every step is one SELECT; the engine makes
-- it a view, or, where marked `keep`, writes it out once and reads it back.
--
-- Inputs: requests, labels, prices (columns of pipelines/schemas.py and its provenance; row_id is
-- unique in a source and grows with file and line), price_bands (what a row of prices comes to by
-- service tier and input tokens), settings (one row), label_ranges (name, worst, best), label_ranks
-- (source, priority). Floats are checked by `x - x = 0` as well: only that is false for NaN on every
-- engine, since DuckDB folds ranges and isnan() by file statistics that leave NaN out. With a decision log, decisions.sql runs first and makes
-- requests and labels; rows that the log alone has are of origin decisions and feedback, and
-- decision_fates.sql accounts for them.
--
-- Every row meets one fate: used, collapsed, excluded (a rule) or rejected (a reason).

-- step: price_checks
SELECT p.*,
       CASE WHEN p.problem IS NOT NULL THEN p.problem
            WHEN p.candidate IS NULL OR p.candidate = '' THEN 'missing_candidate'
            WHEN p.input_usd_per_mtok IS NULL OR p.output_usd_per_mtok IS NULL THEN 'missing_price'
            WHEN NOT (p.input_usd_per_mtok >= 0 AND p.input_usd_per_mtok < 1e9
                      AND p.output_usd_per_mtok >= 0 AND p.output_usd_per_mtok < 1e9
                      AND p.input_usd_per_mtok - p.input_usd_per_mtok = 0
                      AND p.output_usd_per_mtok - p.output_usd_per_mtok = 0) THEN 'invalid_price'
            WHEN b.least < 0 OR b.most >= 1e9 OR b.sum - b.sum <> 0 THEN 'invalid_price'
            WHEN p.valid_to <= p.valid_from THEN 'empty_window'
       END AS reason
FROM prices p
LEFT JOIN (SELECT price_row,
                  min(least(input_usd_per_mtok, output_usd_per_mtok, cached_input_usd_per_mtok,
                            cache_write_usd_per_mtok, audio_input_usd_per_mtok,
                            audio_output_usd_per_mtok)) AS least,
                  max(greatest(input_usd_per_mtok, output_usd_per_mtok, cached_input_usd_per_mtok,
                               cache_write_usd_per_mtok, audio_input_usd_per_mtok,
                               audio_output_usd_per_mtok)) AS most,
                  sum(input_usd_per_mtok + output_usd_per_mtok + cached_input_usd_per_mtok
                      + cache_write_usd_per_mtok + audio_input_usd_per_mtok
                      + audio_output_usd_per_mtok) AS sum
           FROM price_bands GROUP BY price_row) b
       ON b.price_row = p.row_id

-- step: price_windows, keep
SELECT candidate,
       coalesce(valid_from, TIMESTAMP '1900-01-01 00:00:00') AS valid_from,
       coalesce(valid_to, TIMESTAMP '2200-01-01 00:00:00') AS valid_to,
       input_usd_per_mtok,
       output_usd_per_mtok,
       coalesce(cached_input_usd_per_mtok, input_usd_per_mtok) AS cached_input_usd_per_mtok,
       cache_write_usd_per_mtok, audio_input_usd_per_mtok, audio_output_usd_per_mtok, tiers,
       provider, context_window, max_output_tokens, capabilities,
       min(row_id) AS row_id,
       count(*) AS n_rows
FROM price_checks
WHERE exclusion IS NULL AND reason IS NULL
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14

-- step: price_rates, keep
SELECT w.candidate, w.valid_from, w.valid_to, b.service_tier, b.above_tokens, b.up_to_tokens,
       b.input_usd_per_mtok, b.output_usd_per_mtok, b.cached_input_usd_per_mtok,
       b.cache_write_usd_per_mtok, b.audio_input_usd_per_mtok, b.audio_output_usd_per_mtok
FROM price_windows w
JOIN price_bands b ON b.price_row = w.row_id

-- step: request_zones
SELECT coalesce(max(CASE WHEN zoneless THEN 1 ELSE 0 END)
                + max(CASE WHEN NOT zoneless THEN 1 ELSE 0 END), 0) = 2 AS mixed
FROM requests

-- step: request_checks
SELECT r.*,
       coalesce(r.status, 'success') = 'failure' AS failed, s.cost_step,
       -- a logged cost of 0 for tokens that have a price is a logger's "unknown"
       CASE WHEN r.cost_usd = 0 AND w.input_usd_per_mtok + w.output_usd_per_mtok > 0
                 AND r.input_tokens + r.output_tokens > 0 AND NOT coalesce(r.cache_hit, false)
                 AND coalesce(r.status, 'success') = 'success' THEN NULL
            ELSE r.cost_usd * s.cost_scale END AS logged_cost_usd,
       CASE WHEN r.input_tokens + r.output_tokens IS NOT NULL OR r.status = 'failure' THEN
           ((coalesce(r.input_tokens, 0) - coalesce(r.cached_input_tokens, 0)
             - coalesce(r.cache_write_tokens, 0) - coalesce(r.audio_input_tokens, 0))
            * w.input_usd_per_mtok
            + coalesce(r.cached_input_tokens, 0) * w.cached_input_usd_per_mtok
            + coalesce(r.cache_write_tokens, 0) * w.cache_write_usd_per_mtok
            + coalesce(r.audio_input_tokens, 0) * w.audio_input_usd_per_mtok
            + (coalesce(r.output_tokens, 0) - coalesce(r.audio_output_tokens, 0))
            * w.output_usd_per_mtok
            + coalesce(r.audio_output_tokens, 0) * w.audio_output_usd_per_mtok) / 1e6
       END AS priced_usd,
       CASE WHEN array_contains(s.exclude, r.exclusion) THEN r.exclusion
            WHEN r.candidate_chosen <> r.candidate_served AND array_contains(s.exclude, 'fallback')
                THEN 'fallback'
            WHEN r.cache_hit AND array_contains(s.exclude, 'cache_hit') THEN 'cache_hit'
            WHEN r.time > s.as_of THEN 'after_as_of'
            WHEN r.status = 'failure' AND array_contains(s.client_errors, lower(r.error_class))
                 AND array_contains(s.exclude, 'client_error') THEN 'client_error'
            WHEN r.status = 'failure' AND s.failure_quality IS NULL THEN 'failed'
       END AS rule,
       CASE WHEN r.problem IS NOT NULL THEN r.problem
            WHEN r.request_id IS NULL OR r.request_id = '' THEN 'missing_request_id'
            WHEN r.time IS NULL THEN 'missing_time'
            WHEN r.zoneless AND z.mixed AND NOT s.naive_times_are_utc THEN 'ambiguous_time'
            WHEN r.time < TIMESTAMP '2000-01-01 00:00:00'
                 OR r.time > TIMESTAMP '2100-01-01 00:00:00' THEN 'absurd_time'
            WHEN r.candidate_served IS NULL OR r.candidate_served = '' THEN 'missing_candidate'
            WHEN r.query IS NULL OR r.query = '' THEN 'no_text'
            WHEN length(r.query) < 32 AND array_contains(s.placeholders, lower(r.query))
                THEN 'redacted_text'
            WHEN position('litellm_truncated' IN r.query) > 0 THEN 'truncated_text'
            WHEN r.query_id IS NULL OR r.group_id IS NULL THEN 'missing_hash'
            WHEN r.status NOT IN ('success', 'failure') THEN 'unknown_status'
            WHEN (r.input_tokens IS NULL OR r.output_tokens IS NULL)
                 AND coalesce(r.status, 'success') = 'success' AND r.origin = 'requests'
                THEN 'missing_tokens'
            WHEN r.input_tokens = 0 AND coalesce(r.status, 'success') = 'success'
                 AND r.origin = 'requests' THEN 'missing_tokens'
            WHEN r.input_tokens < 0 OR r.output_tokens < 0 OR r.cached_input_tokens < 0
                 OR r.cache_write_tokens < 0 OR r.audio_input_tokens < 0
                 OR r.audio_output_tokens < 0
                THEN 'negative_tokens'
            WHEN r.input_tokens > s.max_tokens OR r.output_tokens > s.max_tokens
                THEN 'absurd_tokens'
            WHEN coalesce(r.cached_input_tokens, 0) + coalesce(r.cache_write_tokens, 0)
                 > r.input_tokens THEN 'cached_exceed_input_tokens'
            WHEN coalesce(r.audio_input_tokens, 0) > r.input_tokens
                 OR coalesce(r.audio_output_tokens, 0) > r.output_tokens
                THEN 'audio_exceeds_tokens'
            WHEN NOT (r.latency_ms >= 0 AND r.latency_ms < 1e9 AND r.latency_ms - r.latency_ms = 0)
                 OR NOT (r.ttft_ms < 1e9 AND r.ttft_ms - r.ttft_ms = 0) THEN 'invalid_latency'
            WHEN NOT (r.cost_usd >= 0 AND r.cost_usd < 1e9 AND r.cost_usd - r.cost_usd = 0)
                THEN 'invalid_cost'
            WHEN NOT (r.propensity > 0 AND r.propensity <= 1 AND r.propensity - r.propensity = 0)
                THEN 'invalid_propensity'
            WHEN NOT array_contains(r.eligible, coalesce(r.candidate_chosen, r.candidate_served))
                THEN 'chosen_not_eligible'
            WHEN r.cost_usd IS NULL AND w.candidate IS NULL
                 AND (r.origin = 'requests' OR r.input_tokens + r.output_tokens IS NOT NULL)
                THEN 'no_price'
       END AS reason
FROM requests r
CROSS JOIN settings s
CROSS JOIN request_zones z
LEFT JOIN price_rates w
       ON w.candidate = r.candidate_served
      AND w.service_tier = coalesce(r.service_tier, 'standard')
      AND r.time >= w.valid_from AND r.time < w.valid_to
      AND coalesce(r.input_tokens, 0) > w.above_tokens
      AND coalesce(r.input_tokens, 0) <= w.up_to_tokens

-- step: request_rows, keep
SELECT row_id, origin, request_id, time, candidate_served, failed,
       cost_usd IS NOT NULL AND logged_cost_usd IS NULL AS zero_cost,
       -- of a part of a long log: units that differ show at once
       CASE WHEN row_id % cost_step = 0 AND priced_usd > 0 THEN logged_cost_usd / priced_usd
       END AS cost_ratio,
       CASE WHEN rule IS NOT NULL THEN 'excluded'
            WHEN reason IS NOT NULL THEN 'rejected'
            ELSE 'used' END AS fate,
       coalesce(rule, reason) AS reason,
       -- what another row of the same request makes up for
       rule IS NULL AND reason IS NOT NULL
           AND (failed OR reason IN ('missing_tokens', 'no_text')) AS partial
FROM request_checks

-- step: repeated_ids, keep
SELECT request_id, max(CASE WHEN fate = 'used' AND NOT failed THEN 1 ELSE 0 END) AS succeeded
FROM request_rows
WHERE fate = 'used' OR partial
GROUP BY request_id
HAVING count(*) > 1 AND max(CASE WHEN fate = 'used' THEN 1 ELSE 0 END) = 1

-- step: repeated_rows, keep
-- One row of an id that several rows have is used: the attempt that succeeded, the fullest of its
-- rows, the earliest; if those that are as good agree on what was asked of whom.
SELECT row_id,
       CASE WHEN disagree AND lesser = 0 THEN 'rejected' ELSE 'collapsed' END AS fate,
       CASE WHEN lesser = 1 THEN 'incomplete'
            WHEN lesser = 2 THEN 'failed_attempt'
            WHEN disagree THEN 'conflicting_request_id'
            ELSE 'duplicate' END AS reason
FROM (SELECT row_id, lesser, disagree,
             row_number() OVER (PARTITION BY request_id
                                ORDER BY lesser, output_tokens DESC, time, row_id) AS copy
      FROM (SELECT row_id, request_id, time, output_tokens, lesser,
                   min(content) OVER (PARTITION BY request_id, lesser)
                   <> max(content) OVER (PARTITION BY request_id, lesser) AS disagree
            FROM (SELECT u.row_id, u.request_id, u.time,
                         coalesce(q.output_tokens, 0) AS output_tokens,
                         concat(coalesce(u.candidate_served, ''), ' ', coalesce(q.query_id, '')) AS content,
                         CASE WHEN u.partial AND NOT u.failed THEN 1
                              WHEN u.failed AND i.succeeded = 1 THEN 2
                              WHEN u.partial THEN 1
                              ELSE 0 END AS lesser
                  FROM repeated_ids i
                  JOIN request_rows u
                    ON u.request_id = i.request_id AND (u.fate = 'used' OR u.partial)
                  JOIN requests q ON q.row_id = u.row_id) rows) ranked) copies
WHERE copy > 1 OR (disagree AND lesser = 0)

-- step: asked
-- What became of every request, but for what a split by time leaves out.
SELECT r.row_id, r.origin, r.request_id, r.candidate_served, r.failed, r.time,
       coalesce(l.fate, r.fate) AS fate,
       coalesce(l.reason, r.reason) AS reason
FROM request_rows r
LEFT JOIN repeated_rows l ON l.row_id = r.row_id

-- step: label_zones
SELECT coalesce(max(CASE WHEN zoneless THEN 1 ELSE 0 END)
                + max(CASE WHEN NOT zoneless THEN 1 ELSE 0 END), 0) = 2 AS mixed
FROM labels

-- step: label_checks
SELECT l.*, k.priority,
       -- counts speak for themselves; a range is for values
       CASE WHEN l.n_success IS NOT NULL THEN l.n_success * 1e0 / nullif(l.n_trials, 0)
            ELSE (l.value - coalesce(g.worst, 0)) / (coalesce(g.best, 1) - coalesce(g.worst, 0))
       END AS quality,
       CASE WHEN s.n_label_names > 0 AND NOT array_contains(s.label_names, l.name)
                THEN 'name_not_used'
            WHEN l.time > s.as_of THEN 'after_as_of'
       END AS rule,
       CASE WHEN l.problem IS NOT NULL THEN l.problem
            WHEN l.request_id IS NULL OR l.request_id = '' THEN 'missing_request_id'
            WHEN l.name IS NULL OR l.name = '' THEN 'missing_name'
            WHEN l.n_success IS NOT NULL AND l.n_trials IS NULL THEN 'missing_n_trials'
            WHEN l.n_trials < 1 OR l.n_trials > 1000000 THEN 'invalid_n_trials'
            WHEN l.n_success < 0 OR l.n_success > l.n_trials THEN 'invalid_n_success'
            WHEN l.value IS NULL AND l.n_success IS NULL THEN 'missing_value'
            WHEN l.source IS NULL OR l.source = '' THEN 'missing_source'
            WHEN k.priority IS NULL THEN 'unknown_source'
            WHEN l.time IS NULL THEN 'missing_time'
            WHEN l.zoneless AND z.mixed AND NOT s.naive_times_are_utc THEN 'ambiguous_time'
            WHEN l.time < TIMESTAMP '2000-01-01 00:00:00'
                 OR l.time > TIMESTAMP '2100-01-01 00:00:00' THEN 'absurd_time'
            WHEN NOT (l.weight > 0 AND l.weight < 1e9 AND l.weight - l.weight = 0) THEN 'invalid_weight'
            WHEN NOT (l.label_prob > 0 AND l.label_prob <= 1) THEN 'invalid_label_prob'
            WHEN l.n_success IS NULL AND
                 NOT (l.value >= least(coalesce(g.worst, 0), coalesce(g.best, 1))
                      AND l.value <= greatest(coalesce(g.worst, 0), coalesce(g.best, 1))
                      AND l.value - l.value = 0)
                THEN 'value_out_of_range'
       END AS reason
FROM labels l
CROSS JOIN settings s
CROSS JOIN label_zones z
LEFT JOIN label_ranges g ON g.name = l.name AND l.origin = 'labels'
LEFT JOIN label_ranks k ON k.source = l.source

-- step: distinct_labels
-- A label of n trials weighs as n labels of one.
SELECT origin, request_id, name, value, priority, time, coalesce(n_trials, 1) AS n_trials,
       coalesce(weight, 1) * coalesce(n_trials, 1) AS weight,
       min(quality) AS quality, min(label_prob) AS label_prob, min(row_id) AS row_id,
       count(*) AS copies
FROM label_checks
WHERE rule IS NULL AND reason IS NULL
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, n_success

-- step: unused_ids, keep
SELECT request_id FROM asked
WHERE fate <> 'used' AND request_id IS NOT NULL
GROUP BY request_id

-- step: matched_labels, keep
SELECT d.row_id, d.origin, d.copies, d.priority, d.quality, d.weight, d.n_trials, d.label_prob,
       u.row_id AS request_row, u.candidate_served, d.time AS label_time, u.time AS request_time,
       CASE WHEN u.failed OR n.request_id IS NOT NULL THEN 'excluded'
            WHEN u.request_id IS NOT NULL THEN 'used'
            ELSE 'rejected' END AS fate,
       CASE WHEN u.failed THEN 'failed_request'
            WHEN u.request_id IS NOT NULL THEN NULL
            WHEN n.request_id IS NOT NULL THEN 'request_not_used'
            ELSE 'no_request' END AS reason
FROM distinct_labels d
LEFT JOIN (SELECT row_id, request_id, candidate_served, failed, time
           FROM asked WHERE fate = 'used') u
       ON u.request_id = d.request_id
LEFT JOIN unused_ids n
       ON n.request_id = d.request_id AND u.request_id IS NULL

-- step: first_labels, keep
SELECT request_row, min(request_time) AS request_time, min(label_time) AS label_time
FROM matched_labels
WHERE fate = 'used'
GROUP BY request_row

-- step: known_until
-- An export says nothing of what came after it, however late it is joined.
SELECT least(s.as_of, max(t.time)) AS time
FROM (SELECT max(time) AS time FROM asked WHERE fate = 'used'
      UNION ALL
      SELECT max(label_time) FROM first_labels) t
CROSS JOIN settings s
GROUP BY s.as_of

-- step: label_ages, keep
-- Labels by which of delay_reaches their delay is within, and by the largest of which twice has
-- passed since their request: only of those is it known what share came within it.
SELECT CASE WHEN f.label_time <= f.request_time + INTERVAL 1 MINUTE THEN 0
            WHEN f.label_time <= f.request_time + INTERVAL 10 MINUTE THEN 1
            WHEN f.label_time <= f.request_time + INTERVAL 1 HOUR THEN 2
            WHEN f.label_time <= f.request_time + INTERVAL 3 HOUR THEN 3
            WHEN f.label_time <= f.request_time + INTERVAL 12 HOUR THEN 4
            WHEN f.label_time <= f.request_time + INTERVAL 1 DAY THEN 5
            WHEN f.label_time <= f.request_time + INTERVAL 2 DAY THEN 6
            WHEN f.label_time <= f.request_time + INTERVAL 4 DAY THEN 7
            WHEN f.label_time <= f.request_time + INTERVAL 7 DAY THEN 8
            WHEN f.label_time <= f.request_time + INTERVAL 14 DAY THEN 9
            WHEN f.label_time <= f.request_time + INTERVAL 30 DAY THEN 10
            WHEN f.label_time <= f.request_time + INTERVAL 60 DAY THEN 11
            ELSE 12 END AS delay,
       CASE WHEN f.request_time <= n.time - INTERVAL 120 DAY THEN 11
            WHEN f.request_time <= n.time - INTERVAL 60 DAY THEN 10
            WHEN f.request_time <= n.time - INTERVAL 28 DAY THEN 9
            WHEN f.request_time <= n.time - INTERVAL 14 DAY THEN 8
            WHEN f.request_time <= n.time - INTERVAL 8 DAY THEN 7
            WHEN f.request_time <= n.time - INTERVAL 4 DAY THEN 6
            WHEN f.request_time <= n.time - INTERVAL 2 DAY THEN 5
            WHEN f.request_time <= n.time - INTERVAL 24 HOUR THEN 4
            WHEN f.request_time <= n.time - INTERVAL 6 HOUR THEN 3
            WHEN f.request_time <= n.time - INTERVAL 2 HOUR THEN 2
            WHEN f.request_time <= n.time - INTERVAL 20 MINUTE THEN 1
            WHEN f.request_time <= n.time - INTERVAL 2 MINUTE THEN 0
            ELSE -1 END AS age,
       count(*) AS labels
FROM first_labels f
CROSS JOIN known_until n
GROUP BY 1, 2

-- step: label_reach
-- The shortest delay within which the share label_settled of labels came.
SELECT min(d.place) AS place
FROM (SELECT g.place, sum(a.labels) AS labels,
             sum(CASE WHEN a.delay <= g.place THEN a.labels ELSE 0 END) AS settled
      FROM delay_reaches g
      JOIN label_ages a ON a.age >= g.place
      GROUP BY g.place) d
CROSS JOIN settings s
WHERE s.label_settled > 0 AND d.labels >= 50 AND d.settled >= s.label_settled * d.labels

-- step: label_edge
SELECT p.place, CASE p.place WHEN 0 THEN n.time - INTERVAL 1 MINUTE
       WHEN 1 THEN n.time - INTERVAL 10 MINUTE
       WHEN 2 THEN n.time - INTERVAL 1 HOUR
       WHEN 3 THEN n.time - INTERVAL 3 HOUR
       WHEN 4 THEN n.time - INTERVAL 12 HOUR
       WHEN 5 THEN n.time - INTERVAL 1 DAY
       WHEN 6 THEN n.time - INTERVAL 2 DAY
       WHEN 7 THEN n.time - INTERVAL 4 DAY
       WHEN 8 THEN n.time - INTERVAL 7 DAY
       WHEN 9 THEN n.time - INTERVAL 14 DAY
       WHEN 10 THEN n.time - INTERVAL 30 DAY
       WHEN 11 THEN n.time - INTERVAL 60 DAY END AS time
FROM label_reach p CROSS JOIN known_until n

-- step: label_youth, keep
-- Requests and labels are counted apart: joining them would take longer than all the rest of this.
SELECT min(c.place) AS place, min(c.time) AS time,
       CAST(coalesce(sum(c.young), 0) AS BIGINT) AS young,
       CAST(coalesce(sum(c.young_labelled), 0) AS BIGINT) AS young_labelled,
       CAST(coalesce(sum(c.requests), 0) AS BIGINT) AS requests,
       CAST(coalesce(sum(c.labelled), 0) AS BIGINT) AS labelled
FROM (SELECT min(e.place) AS place, min(e.time) AS time,
             sum(CASE WHEN r.time > e.time THEN 1 ELSE 0 END) AS young, 0 AS young_labelled,
             count(*) AS requests, 0 AS labelled
      FROM asked r
      CROSS JOIN label_edge e
      WHERE r.fate = 'used' AND NOT r.failed
      UNION ALL
      SELECT min(e.place), min(e.time), 0,
             sum(CASE WHEN f.request_time > e.time THEN 1 ELSE 0 END), 0, count(*)
      FROM first_labels f
      CROSS JOIN label_edge e) c

-- step: label_cutoff, keep
-- Requests younger than that wait for labels: fewer of them have one (z > 1.96), and what they lack
-- may depend on the outcome. Where more than a quarter of labels would go, nothing is left out.
SELECT y.*, CASE WHEN y.young_labelled * 4 <= y.labelled
                  AND p.share_old - p.share_young
                      > 1.96 * sqrt(p.share_old * (1 - p.share_old) * (1e0 / p.young + 1e0 / p.old))
                 THEN y.time END AS cutoff
FROM label_youth y
CROSS JOIN (SELECT (labelled - young_labelled) * 1e0 / nullif(requests - young, 0) AS share_old,
                   young_labelled * 1e0 / nullif(young, 0) AS share_young,
                   nullif(young, 0) AS young, nullif(requests - young, 0) AS old
            FROM label_youth) p

-- step: test_begin, keep
-- Where a split by time puts its boundary: given, or after it lie test_share of the requests that do
-- not wait for labels, and all that do: a test needs labels.
-- Without such a split this is empty, and so is what rests on it.
SELECT min(t.time) AS time
FROM (SELECT s.test_from AS time FROM settings s
      UNION ALL
      SELECT ordered.time
      FROM (SELECT r.time, s.test_share,
                   row_number() OVER (ORDER BY r.time) AS position, count(*) OVER () AS n
            FROM request_rows r CROSS JOIN settings s CROSS JOIN label_cutoff y
            WHERE r.fate = 'used' AND s.split_by = 'time' AND s.test_from IS NULL
              AND coalesce(r.time <= y.cutoff, TRUE)) ordered
      WHERE ordered.position > ordered.n * (1 - ordered.test_share)) t
HAVING min(t.time) IS NOT NULL

-- step: seen_rows, keep
-- In a split by time, a prompt that training has seen is no test.
SELECT c.row_id, 'excluded' AS fate, 'group_seen_earlier' AS reason
FROM test_begin b
JOIN request_rows c ON c.time >= b.time AND c.fate = 'used'
JOIN requests q ON q.row_id = c.row_id
JOIN (SELECT DISTINCT p.group_id
      FROM test_begin f
      JOIN request_rows e ON e.time < f.time AND e.fate = 'used'
      JOIN requests p ON p.row_id = e.row_id) earlier
  ON earlier.group_id = q.group_id
LEFT JOIN repeated_rows r ON r.row_id = c.row_id
WHERE r.row_id IS NULL

-- step: later_fates, keep
SELECT * FROM repeated_rows UNION ALL SELECT * FROM seen_rows

-- step: request_fates
SELECT r.row_id, r.origin, r.request_id, r.candidate_served, r.failed, r.time,
       coalesce(l.fate, r.fate) AS fate,
       coalesce(l.reason, r.reason) AS reason
FROM request_rows r
LEFT JOIN later_fates l ON l.row_id = r.row_id

-- step: label_fates
SELECT m.row_id, m.origin, m.copies, m.priority, m.quality, m.weight, m.n_trials, m.label_prob,
       m.request_row, m.candidate_served, m.label_time, m.request_time,
       CASE WHEN e.row_id IS NOT NULL THEN 'excluded'
            WHEN m.fate = 'used' AND m.request_time > c.cutoff THEN 'excluded'
            ELSE m.fate END AS fate,
       CASE WHEN e.row_id IS NOT NULL THEN 'request_not_used'
            WHEN m.fate = 'used' AND m.request_time > c.cutoff THEN 'not_settled'
            ELSE m.reason END AS reason
FROM matched_labels m
CROSS JOIN label_cutoff c
LEFT JOIN seen_rows e ON e.row_id = m.request_row

-- step: label_quality_by_source, keep
SELECT request_row, priority,
       min(candidate_served) AS candidate_served,
       sum(weight * quality) / sum(weight) AS quality,
       sum(weight) AS weight,
       count(*) AS n_labels,
       CAST(sum(n_trials) AS BIGINT) AS n_trials,
       sum(n_trials * quality) AS n_success,
       -- with a label from elsewhere beside it, a request would have been labelled in any case
       CASE WHEN count(*) = count(label_prob) THEN max(label_prob) END AS label_prob
FROM label_fates
WHERE fate = 'used'
GROUP BY request_row, priority

-- step: label_quality
SELECT request_row,
       CAST(sum(n_labels) AS BIGINT) AS n_labels,
       count(*) AS n_sources,
       min(priority) AS priority,
       min_by(quality, priority) AS first_quality,
       min_by(weight, priority) AS first_weight,
       min_by(n_trials, priority) AS first_trials,
       min_by(n_success, priority) AS first_success,
       CAST(sum(n_trials) AS BIGINT) AS total_trials,
       sum(n_success) AS total_success,
       sum(weight * quality) / sum(weight) AS mean_quality,
       sum(weight) AS total_weight,
       CASE WHEN count(*) = count(label_prob) THEN max(label_prob) END AS label_prob
FROM label_quality_by_source
GROUP BY request_row

-- step: rejected_prices, keep
SELECT c.*, c.candidate AS key FROM price_checks c
WHERE c.exclusion IS NULL AND c.reason IS NOT NULL

-- step: rejected_labels, keep
SELECT l.*, l.request_id AS key, f.reason
FROM (SELECT row_id, reason FROM label_checks WHERE rule IS NULL AND reason IS NOT NULL
      UNION ALL
      SELECT row_id, reason FROM label_fates WHERE fate = 'rejected') f
JOIN labels l ON l.row_id = f.row_id
WHERE l.origin = 'labels'

-- step: rejected_requests, keep
SELECT r.*, f.request_id AS key, f.reason
FROM (SELECT row_id, request_id, reason FROM request_fates
      WHERE fate = 'rejected' AND origin = 'requests') f
JOIN requests r ON r.row_id = f.row_id

-- step: accounting
SELECT 'requests' AS source, fate, reason, count(*) AS n
FROM request_fates WHERE origin = 'requests' GROUP BY fate, reason
UNION ALL
SELECT 'labels', CASE WHEN rule IS NOT NULL THEN 'excluded' ELSE 'rejected' END,
       coalesce(rule, reason), count(*)
FROM label_checks
WHERE origin = 'labels' AND (rule IS NOT NULL OR reason IS NOT NULL) GROUP BY 2, 3
UNION ALL
SELECT 'labels', fate, reason, count(*) FROM label_fates
WHERE origin = 'labels' GROUP BY fate, reason
UNION ALL
SELECT 'labels', 'collapsed', 'duplicate', CAST(sum(copies - 1) AS BIGINT) FROM label_fates
WHERE origin = 'labels'
HAVING sum(copies - 1) > 0
UNION ALL
SELECT 'prices', CASE WHEN exclusion IS NOT NULL THEN 'excluded' ELSE 'rejected' END,
       coalesce(exclusion, reason), count(*)
FROM price_checks WHERE exclusion IS NOT NULL OR reason IS NOT NULL GROUP BY 2, 3
UNION ALL
SELECT 'prices', 'used', CAST(NULL AS STRING), count(*) FROM price_windows
UNION ALL
SELECT 'prices', 'collapsed', 'duplicate', CAST(sum(n_rows - 1) AS BIGINT) FROM price_windows
HAVING sum(n_rows - 1) > 0

-- step: repairs
SELECT repair, count(*) AS n FROM requests WHERE repair IS NOT NULL GROUP BY repair
UNION ALL
SELECT 'zero_cost_priced', count(*) FROM request_rows WHERE zero_cost AND fate = 'used'
HAVING count(*) > 0

-- step: cost_ratios, keep
SELECT candidate_served AS candidate, count(*) AS requests, exp(avg(ln(cost_ratio))) AS ratio,
       stddev_pop(ln(cost_ratio)) AS spread
FROM request_rows
WHERE cost_ratio > 0 AND fate = 'used' AND NOT failed
GROUP BY candidate_served

-- step: outcomes, keep, by parts
SELECT c.request_id, c.decision_id, c.time, c.query_id, c.group_id, c.session_id, c.user_id,
       c.tenant, coalesce(c.candidate_chosen, c.candidate_served) AS candidate_chosen,
       c.candidate_served, c.eligible, c.propensity, c.action_probs, c.policy_version,
       c.query, c.messages, c.tools, c.answer,
       -- of a request that only the decision log has, tokens may be unknown: no feedback came
       CASE WHEN c.failed OR c.origin = 'requests' THEN coalesce(c.input_tokens, 0)
            ELSE c.input_tokens END AS input_tokens,
       CASE WHEN c.failed OR c.origin = 'requests' THEN coalesce(c.output_tokens, 0)
            ELSE c.output_tokens END AS output_tokens,
       c.cached_input_tokens, c.cache_write_tokens, c.audio_input_tokens, c.audio_output_tokens,
       c.service_tier,
       coalesce(c.logged_cost_usd, c.priced_usd) AS cost_usd,
       c.latency_ms, c.ttft_ms, coalesce(c.status, 'success') AS status, c.error_class,
       c.finish_reason, c.cache_hit,
       CASE WHEN c.failed AND coalesce(c.time <= y.cutoff, TRUE) THEN s.failure_quality
            WHEN s.label_combine = 'mean' THEN q.mean_quality
            ELSE q.first_quality END AS quality,
       coalesce(q.n_labels, 0) AS n_labels,
       CASE WHEN c.failed AND coalesce(c.time <= y.cutoff, TRUE) THEN 'failure'
            WHEN s.label_combine = 'mean' AND q.n_sources > 1 THEN 'mean'
            ELSE k.source END AS label_source,
       CASE WHEN c.failed AND coalesce(c.time <= y.cutoff, TRUE) THEN 1
            WHEN s.label_combine = 'mean' THEN q.total_weight
            ELSE q.first_weight END AS label_weight,
       CASE WHEN c.failed AND coalesce(c.time <= y.cutoff, TRUE) THEN 1
            WHEN s.label_combine = 'mean' THEN q.total_trials
            ELSE q.first_trials END AS n_trials,
       CASE WHEN c.failed AND coalesce(c.time <= y.cutoff, TRUE) THEN s.failure_quality
            WHEN s.label_combine = 'mean' THEN q.total_success
            ELSE q.first_success END AS n_success,
       CASE WHEN NOT c.failed THEN q.label_prob END AS label_prob,
       CASE WHEN c.logged_cost_usd IS NOT NULL THEN 'logged'
            WHEN c.input_tokens + c.output_tokens IS NOT NULL OR c.failed THEN 'price'
       END AS cost_source,
       CASE WHEN s.split_by = 'time' THEN CASE WHEN c.time >= b.time THEN 'test' ELSE 'train' END
            WHEN substr(md5(concat(s.split_salt, ':', c.group_id)), 1, 8) < s.test_bound THEN 'test'
            ELSE 'train' END AS split
FROM request_checks c
CROSS JOIN settings s
CROSS JOIN label_cutoff y
LEFT JOIN test_begin b ON s.split_by = 'time'
LEFT JOIN (SELECT row_id FROM request_fates WHERE fate <> 'used') l ON l.row_id = c.row_id
LEFT JOIN label_quality q ON q.request_row = c.row_id
LEFT JOIN label_ranks k ON k.priority = q.priority
WHERE l.row_id IS NULL

-- step: report_candidates
SELECT candidate_served AS candidate, count(*) AS requests, count(quality) AS labelled,
       avg(quality) AS mean_quality, avg(cost_usd) AS mean_cost_usd,
       avg(latency_ms) AS mean_latency_ms,
       sum(cost_usd) AS total_usd,
       count(propensity) AS with_propensity, count(latency_ms) AS with_latency,
       count(answer) AS with_answer,
       CAST(sum(CASE WHEN status = 'failure' THEN 1 ELSE 0 END) AS BIGINT) AS failed,
       CAST(sum(CASE WHEN candidate_chosen <> candidate_served THEN 1 ELSE 0 END) AS BIGINT)
           AS fallbacks
FROM outcomes
GROUP BY candidate_served
ORDER BY candidate_served

-- step: report_labels
SELECT q.candidate_served AS candidate, k.source, k.priority, count(*) AS requests,
       CAST(sum(q.n_labels) AS BIGINT) AS labels, CAST(sum(q.n_trials) AS BIGINT) AS trials, avg(q.quality) AS mean_quality
FROM label_quality_by_source q
JOIN label_ranks k ON k.priority = q.priority
GROUP BY q.candidate_served, k.source, k.priority
ORDER BY q.candidate_served, k.priority

-- step: report_label_delay
-- How long labels took: a request that is younger than that may only be waiting for its own.
SELECT k.source, k.priority, count(*) AS labels,
       CAST(sum(CASE WHEN f.label_time <= f.request_time + INTERVAL 1 HOUR THEN 1 ELSE 0 END)
            AS BIGINT) AS within_hour,
       CAST(sum(CASE WHEN f.label_time <= f.request_time + INTERVAL 1 DAY THEN 1 ELSE 0 END)
            AS BIGINT) AS within_day,
       CAST(sum(CASE WHEN f.label_time <= f.request_time + INTERVAL 7 DAY THEN 1 ELSE 0 END)
            AS BIGINT) AS within_week,
       CAST(sum(CASE WHEN f.label_time <= f.request_time + INTERVAL 30 DAY THEN 1 ELSE 0 END)
            AS BIGINT) AS within_month
FROM matched_labels f
JOIN label_ranks k ON k.priority = f.priority
WHERE f.fate = 'used'
GROUP BY k.source, k.priority
ORDER BY k.priority

-- step: report_settling
SELECT g.reach, y.young, y.young_labelled, y.requests, y.labelled, y.cutoff,
       f.labels, f.first_label, f.last_label
FROM label_cutoff y
JOIN settings s ON s.label_settled > 0
CROSS JOIN (SELECT count(*) AS labels, min(label_time) AS first_label,
                   max(label_time) AS last_label
            FROM first_labels) f
LEFT JOIN delay_reaches g ON g.place = y.place

-- step: report_ages
-- Requests by how long before the last one they were made, and how many of them have a quality.
SELECT a.age, min(a.place) AS place, count(*) AS requests, count(a.quality) AS labelled
FROM (SELECT o.quality,
             CASE WHEN o.time > n.time - INTERVAL 1 HOUR THEN 'an hour'
                  WHEN o.time > n.time - INTERVAL 1 DAY THEN 'a day'
                  WHEN o.time > n.time - INTERVAL 7 DAY THEN 'a week'
                  WHEN o.time > n.time - INTERVAL 30 DAY THEN 'a month'
                  ELSE 'older' END AS age,
             CASE WHEN o.time > n.time - INTERVAL 1 HOUR THEN 1
                  WHEN o.time > n.time - INTERVAL 1 DAY THEN 2
                  WHEN o.time > n.time - INTERVAL 7 DAY THEN 3
                  WHEN o.time > n.time - INTERVAL 30 DAY THEN 4
                  ELSE 5 END AS place
      FROM outcomes o
      CROSS JOIN (SELECT max(time) AS time FROM outcomes) n) a
GROUP BY a.age
ORDER BY place

-- step: report_agreement
SELECT f.source AS first, g.source AS second, pairs.requests, pairs.share_equal,
       pairs.mean_abs_difference, pairs.mean_difference
FROM (SELECT a.priority AS first, b.priority AS second, count(*) AS requests,
             avg(CASE WHEN abs(a.quality - b.quality) < 1e-9 THEN 1e0 ELSE 0e0 END) AS share_equal,
             avg(abs(a.quality - b.quality)) AS mean_abs_difference,
             avg(b.quality - a.quality) AS mean_difference
      FROM label_quality_by_source a
      JOIN label_quality_by_source b
        ON b.request_row = a.request_row AND b.priority > a.priority
      GROUP BY a.priority, b.priority) pairs
JOIN label_ranks f ON f.priority = pairs.first
JOIN label_ranks g ON g.priority = pairs.second
ORDER BY pairs.first, pairs.second

-- step: report_costs
SELECT cost_source, count(*) AS requests, sum(cost_usd) AS total_usd, avg(cost_usd) AS mean_usd
FROM outcomes
WHERE cost_source IS NOT NULL
GROUP BY cost_source
ORDER BY cost_source

-- step: report_days
SELECT date_trunc('day', time) AS day, candidate_served AS candidate, count(*) AS requests,
       count(quality) AS labelled, avg(quality) AS mean_quality, sum(cost_usd) AS total_usd
FROM outcomes
GROUP BY date_trunc('day', time), candidate_served
ORDER BY date_trunc('day', time), candidate_served

-- step: report_splits
SELECT split, count(*) AS requests, count(quality) AS labelled, min(time) AS first_time,
       max(time) AS last_time
FROM outcomes
GROUP BY split
ORDER BY split
