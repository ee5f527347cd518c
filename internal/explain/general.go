package explain

var generalEntries = []Entry{
	{
		Code:    "code-unknown",
		Title:   "no entry by this name",
		Cause:   "The word is neither a code of a finding nor a text that an entry is known by.",
		Remedy:  "Run explain without a word for the list of all codes. Codes stand on the last line of every error.",
		Aliases: []string{"nothing is known of"},
	},
	{
		Code:    "internal",
		Title:   "an error that sbw has no words of its own for",
		Symptom: "An error that names what was being done, and the words of the library or program that failed.",
		Cause:   "Something failed that nobody has foreseen: its cause stands behind \"why\".",
		Remedy:  "If its words do not help, run the same again with --verbose, and report it with what that prints: every such error deserves a code of its own.",
	},
	{
		Code:    "usage",
		Title:   "the command line is wrong",
		Symptom: "Exit code 2 before anything was looked at.",
		Cause:   "An unknown command or flag, a value that a flag does not take, or flags that exclude each other.",
		Remedy:  "--help of the command shows its flags with examples.",
		Aliases: []string{"unknown flag", "unknown command", "unknown shorthand flag", "required flag(s)"},
	},
}
