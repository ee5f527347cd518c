package cli

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// RequireNames makes a flag that takes a list refuse an empty one. An unset variable in
// a script produces one, and without names the default would be used.
func RequireNames(c *cobra.Command, flag string) {
	f := c.Flags().Lookup(flag)
	f.Value = names{f.Value}
}

type names struct{ pflag.Value }

func (v names) Set(text string) error {
	if strings.Trim(text, ", ") == "" {
		return errors.New("it has no names")
	}
	return v.Value.Set(text)
}

// OptionalDuration is the value of a flag that may be given with or without a duration.
// The flag's NoOptDefVal must be "forever".
type OptionalDuration struct {
	Given bool
	Limit time.Duration // 0 means no limit
}

// String implements pflag.Value.
func (o *OptionalDuration) String() string {
	switch {
	case !o.Given:
		return ""
	case o.Limit == 0:
		return "forever"
	}
	return o.Limit.String()
}

// Set reads a duration, or "forever".
func (o *OptionalDuration) Set(text string) error {
	if text == "forever" {
		*o = OptionalDuration{Given: true}
		return nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return fmt.Errorf("%q is not a duration above zero, such as 90s or 10m", text)
	}
	*o = OptionalDuration{Given: true, Limit: d}
	return nil
}

// Type returns the name of the value in help.
func (o *OptionalDuration) Type() string { return "duration" }
