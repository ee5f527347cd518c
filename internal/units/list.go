package units

import (
	"strconv"
	"strings"
)

// listed is how many names of a list a message contains.
const listed = 12

// List writes names for a message: all of them if they are few, and otherwise the first
// ones and the number of the others, "a, b, … and 199,988 more".
func List(names []string) string {
	if len(names) <= listed+1 {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:listed], ", ") + " and " + thousands(len(names)-listed) + " more"
}

// thousands writes a number with commas: "199,990".
func thousands(n int) string {
	digits := strconv.Itoa(n)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}
