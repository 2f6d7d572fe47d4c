-- How close does somebody come in each second: how high is the largest face, to the nearest ten pixels?
SELECT window_start, round(max(face.box['h']) / 10) * 10 AS height
FROM TUMBLE((SELECT ts, face FROM clip CROSS JOIN UNNEST(detect_faces(frame)) AS face), ts, INTERVAL '1 second')
GROUP BY window_start
ORDER BY window_start;
