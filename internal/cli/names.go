package cli

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// RequireNames makes a flag that takes a list refuse an empty one, which an unset
// variable of a script makes: without names, the default would be meant.
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
