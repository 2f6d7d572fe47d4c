-- Where do people stand: how many faces are in the left, the middle and the right third of the picture, second by second?
SELECT window_start,
       count(*) FILTER (WHERE third = 0) AS left_third,
       count(*) FILTER (WHERE third = 1) AS middle_third,
       count(*) FILTER (WHERE third = 2) AS right_third
FROM TUMBLE((SELECT ts, floor(3 * (face.box['x'] + face.box['w'] / 2) / width) AS third
             FROM clip CROSS JOIN UNNEST(detect_faces(frame)) AS face), ts, INTERVAL '1 second')
GROUP BY window_start
ORDER BY window_start;
