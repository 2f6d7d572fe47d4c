-- Which are the two largest faces of every four seconds, and in which frames?
SELECT window_start, rank, frame_no, height
FROM (SELECT window_start, frame_no, height, ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY height DESC, frame_no) AS rank
  FROM TUMBLE((SELECT ts, frame_no, round(face.box['h']) AS height FROM clip CROSS JOIN UNNEST(detect_faces(frame)) AS face), ts, INTERVAL '4 seconds'))
WHERE rank <= 2
ORDER BY window_start, rank;
