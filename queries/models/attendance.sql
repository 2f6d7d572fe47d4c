-- Who was at the door, minute by minute: first and last seen, and how many faces that nobody knows?
-- similarity is the least of the faces that got the name.
SELECT window_start AS minute, coalesce(name, '(unknown)') AS who, min(ts) AS first_seen, max(ts) AS last_seen, count(*) AS faces, round(min(similarity), 1) AS similarity
FROM TUMBLE(seen, ts, INTERVAL '1 minute')
GROUP BY window_start, name
ORDER BY minute, first_seen, who;
