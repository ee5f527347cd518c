package catalog

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// ValidateCron returns the reason why the server would refuse a schedule. It
// uses the server's own parser with the server's flags (inngest:
// pkg/inngest/trigger.go, CronTrigger.Validate): five fields, no @daily,
// optionally TZ= or CRON_TZ=.
func ValidateCron(expression string) error {
	if len(expression) > maxNameLength {
		return fmt.Errorf("it has %d bytes, more than %d", len(expression), maxNameLength)
	}
	if strings.HasPrefix(expression, "TZ=") || strings.HasPrefix(expression, "CRON_TZ=") {
		zone, rest, ok := strings.Cut(expression, " ")
		if !ok { // the parser panics here, and so does the server
			return errors.New("no fields follow the time zone")
		}
		if _, err := time.LoadLocation(zone[strings.IndexByte(zone, '=')+1:]); err != nil && !zonesMissing() {
			return err
		}
		// The time zone has already been checked. On a machine without a time
		// zone database, most valid zones are unknown.
		expression = "TZ=UTC " + rest
	}
	_, err := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow).Parse(expression)
	return err
}

// zonesMissing reports whether this machine has no time zone database.
func zonesMissing() bool {
	_, err := time.LoadLocation("America/New_York")
	return err != nil
}
