-- Who goes through the gate the wrong way, when, and how fast?
SELECT c.ts, c.track_id, round(speed_kmh(t.vx, t.vy, t.box, 'ground')) AS km_h
FROM LINE_CROSSINGS(TABLE tracks PARTITION BY source ORDER BY ts, 'gate') AS c
JOIN tracks AS t ON t.source = c.source AND t.track_id = c.track_id AND t.ts = c.ts
WHERE c.direction = 'right_to_left'
ORDER BY c.ts, c.track_id;
