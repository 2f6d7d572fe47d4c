-- Who stays at the desk for two seconds or more, and how long?
SELECT track_id, enter_at, exit_at, dwell
FROM ZONE_VISITS(TABLE tracks PARTITION BY source ORDER BY ts, 'desk')
WHERE dwell >= INTERVAL '2 seconds'
ORDER BY enter_at, track_id;
