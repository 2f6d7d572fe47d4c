-- Which plate had each car, and how many of its readings agreed?
-- A car is answered for once, when it has not been seen for two seconds; each text has the sum of its scores, and the greatest sum has the vote.
SELECT window_start AS since, max(until) AS until, track_id AS car, vote(text, sure) AS plate, first_value(n ORDER BY sure DESC NULLS LAST, text) AS agreed, sum(n) AS frames
FROM (SELECT window_start, window_end, track_id, text, max(ts) AS until, count(*) AS n, sum(score) AS sure
      FROM SESSION(readings PARTITION BY track_id, ts, INTERVAL '2 seconds')
      GROUP BY window_start, window_end, track_id, text)
GROUP BY window_start, window_end, track_id
ORDER BY since, car;
