package build

import (
	"strconv"
	"time"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// SourceDateEpoch reads the variable of that name, by which a reproducible
// build is asked for (https://reproducible-builds.org/specs/source-date-epoch);
// the zero time when it is not set. A Finding has the code
// "source-date-epoch".
func SourceDateEpoch(env []string) (time.Time, error) {
	text := environment(env).get("SOURCE_DATE_EPOCH")
	if text == "" {
		return time.Time{}, nil
	}
	sec, err := strconv.ParseInt(text, 10, 64)
	if err != nil || sec < 0 {
		return time.Time{}, pipeline.UsageErrorf("source-date-epoch", "give seconds since 1970, or unset it", "SOURCE_DATE_EPOCH is %q, which is no time", text)
	}
	return time.Unix(sec, 0).UTC(), nil
}
