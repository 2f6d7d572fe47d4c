-- How many faces are left and right of the middle, and in all, in every four seconds?
SELECT window_start, side, count(*) AS faces
FROM (SELECT window_start, window_end, CASE WHEN face.box['x'] + face.box['w'] / 2 < width / 2 THEN 'left' ELSE 'right' END AS side
  FROM TUMBLE((SELECT ts, width, face FROM clip CROSS JOIN UNNEST(detect_faces(frame)) AS face), ts, INTERVAL '4 seconds'))
GROUP BY window_start, window_end, ROLLUP (side)
ORDER BY window_start, side;
