-- Who goes through the door within two seconds behind somebody else, while it is still open?
-- The door is where the picture has x = 700.
SELECT * FROM (
    SELECT * FROM tracks MATCH_RECOGNIZE (
      PARTITION BY track_id ORDER BY ts
      MEASURES match_rowtime() AS ts
      PATTERN (before after) WITHIN INTERVAL '1 second'
      DEFINE before AS before.x < 700, after AS after.x >= 700)) AS passed
  MATCH_RECOGNIZE (
    ORDER BY ts, track_id
    MEASURES opened.track_id AS opened_by, behind.track_id AS behind, match_rowtime() AS at
    AFTER MATCH SKIP TO NEXT ROW
    PATTERN (opened behind) WITHIN INTERVAL '2 seconds'
    DEFINE behind AS true)
ORDER BY at;
