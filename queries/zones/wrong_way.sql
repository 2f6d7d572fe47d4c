-- Who goes through the gate the wrong way, when, and how far from the booth, which stands at the lower left?
SELECT c.ts, c.track_id, round(distance_m(t.box, struct(0, 360), 'ground'), 1) AS metres
FROM LINE_CROSSINGS(TABLE tracks PARTITION BY source ORDER BY ts, 'gate') AS c
JOIN tracks AS t ON t.source = c.source AND t.track_id = c.track_id AND t.ts = c.ts
WHERE c.direction = 'right_to_left'
ORDER BY c.ts, c.track_id;
