package catalog

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// ValidateCron says why the server refuses a schedule. It is the server's own
// parser with the server's flags (inngest: pkg/inngest/trigger.go,
// CronTrigger.Validate): five fields, no @daily, optionally TZ= or CRON_TZ=.
func ValidateCron(expression string) error {
	if len(expression) > maxNameLength {
		return fmt.Errorf("it has %d bytes, more than %d", len(expression), maxNameLength)
	}
	if strings.HasPrefix(expression, "TZ=") || strings.HasPrefix(expression, "CRON_TZ=") {
		zone, rest, ok := strings.Cut(expression, " ")
		if !ok { // the parser panics here, in the server as well
			return errors.New("no fields follow the time zone")
		}
		if _, err := time.LoadLocation(zone[strings.IndexByte(zone, '=')+1:]); err != nil && !zonesMissing() {
			return err
		}
		// The zone has been checked; on a machine without a time zone database
		// not every zone is bad.
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
