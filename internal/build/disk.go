package build

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Free space that a build should find where its layout directory is.
const (
	leastRoom = 256 << 20
	goodRoom  = 2 << 30
)

// CheckDisk reports whether there is room for an image of expect bytes in the
// file system of dir, which need not exist yet. With expect 0, as in the first
// build, it assumes an image of usual size.
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
		Code:     "disk-room",
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
		// Room for all layers again, and for the builder's own copy of what it
		// exports.
		least, good = uint64(expect)+leastRoom/4, 2*uint64(expect)+leastRoom
		f.Why = "the last one had " + megabytes(expect)
	}
	switch {
	case free < least:
		f.Severity = pipeline.Error
	case free >= good:
		return nil
	}
	return []*pipeline.Finding{f}
}
