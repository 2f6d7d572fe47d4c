-- Where does the picture become another one, from one frame to the next?
SELECT frame_no, ts
FROM clip
WHERE scene_changed(frame)
ORDER BY frame_no;
