-- How many frames does each keyframe carry, and is that the same all through the clip?
SELECT frames, count(*) AS keyframes
FROM (SELECT keyframe_no, count(*) AS frames
      FROM (SELECT sum(CASE WHEN keyframe THEN 1 ELSE 0 END) OVER (ORDER BY frame_no) AS keyframe_no FROM clip)
      GROUP BY keyframe_no)
GROUP BY frames
ORDER BY frames;
