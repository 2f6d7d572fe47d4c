-- What the examples of docs/sql.md read.
CREATE SOURCE clip FROM 'file://${MEDIA}/lobby.mp4';
CREATE SOURCE moving FROM 'pattern:' WITH (size = '640x360', fps = 25, frames = 500, boxes = 3, seed = 4);
CREATE MATERIALIZED VIEW boxes AS
  SELECT ts, frame_no, thing.track_id, thing.box['x'] AS x FROM moving CROSS JOIN UNNEST(truth) AS thing;
CREATE MATERIALIZED VIEW counted AS SELECT ts, frame_no, cardinality(detect_faces(frame)) AS faces FROM clip;
CREATE MATERIALIZED VIEW per_second AS
  SELECT window_start, window_end, window_time, count(*) AS n FROM TUMBLE(clip, ts, INTERVAL '1 second') GROUP BY window_start, window_end, window_time;
CREATE SOURCE door FROM 'datagen:' WITH (columns = 'ts timestamptz', event_time = 'ts', watermark_delay = '0 s', rate = 0.1, rows = 40, seed = 1);
CREATE SOURCE yard FROM 'datagen:' WITH (columns = 'ts timestamptz', event_time = 'ts', watermark_delay = '0 s', rate = 0.07, rows = 30, seed = 2);
CREATE SOURCE gate FROM 'pattern:' WITH (size = '640x360', fps = 25, frames = 500, boxes = 3, seed = 4);
CREATE VIEW tracks AS SELECT source, ts, thing.track_id, thing.box FROM gate CROSS JOIN UNNEST(truth) AS thing;
