-- What leaves the house of a picture with people in it?
-- Its mosaic: the same size, another picture; nobody's pixels.
SELECT frame_no, faces, width(safe) AS width, height(safe) AS height, octet_length(ppm(safe, 320)) AS bytes, psnr(frame, safe) < 50 AS changed
FROM (SELECT frame_no, frame, cardinality(detect_faces(frame)) AS faces, pixelate(frame, detect_faces(frame, 0.3)) AS safe
      FROM clip WHERE frame_no % 50 = 10)
ORDER BY frame_no;
