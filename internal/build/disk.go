package build

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// These are the amounts of free space in bytes that a build should have for its
// layout directory.
const (
	leastRoom = 256 << 20
	goodRoom  = 2 << 30
)

// CheckDisk reports whether there is room for an image of expect bytes in the
// file system of dir, which may not exist yet. If expect is 0, as for the first
// build, it assumes an image of average size.
func CheckDisk(dir string, expect int64) ([]*pipeline.Finding, error) {
	for {
		if _, err := os.Stat(dir); err == nil || filepath.Dir(dir) == dir {
			break
		}
		dir = filepath.Dir(dir)
	}
	free, err := freeBytes(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot read the free space at %s: %w", dir, err)
	}
	return judgeRoom(dir, free, expect), nil
}

func judgeRoom(dir string, free uint64, expect int64) []*pipeline.Finding {
	f := &pipeline.Finding{
		Code:     codeDiskRoom,
		Severity: pipeline.Warning,
		Where:    dir,
		What: fmt.Sprintf(
			"%s are free for the image",
			megabytes(int64(min(free, 1<<62))),
		),
		Fix: "free some space: docker buildx prune or podman system prune removes what builders keep",
	}
	least, good := uint64(leastRoom), uint64(goodRoom)
	if expect > 0 {
		// All layers may be written again, and the builder needs room for its own copy
		// of what it exports.
		least, good = uint64(expect)+leastRoom/4, 2*uint64(expect)+leastRoom
		f.Why = "the last image had " + megabytes(expect)
	}
	switch {
	case free < least:
		f.Severity = pipeline.Error
	case free >= good:
		return nil
	}
	return []*pipeline.Finding{f}
}
