package explain

var generalEntries = []Entry{
	{
		Code:    "code-unknown",
		Title:   "explain has no page by this name",
		Cause:   "The word is neither the code of a finding nor part of an error text that a page is filed under.",
		Remedy:  "Run explain without arguments to list all codes. Every error prints its code on its last line.",
		Example: "kubectl sbw explain\nkubectl sbw explain \"exec format error\"",
		Aliases: []string{"no page explains", "nothing is known of"},
	},
	{
		Code:    "internal",
		Title:   "an error that sbw has no explanation for",
		Symptom: "An error that says what sbw was doing, followed by the words of the library or program that failed.",
		Cause:   "Something failed in a way that nobody has foreseen. The original error is printed after \"why\".",
		Remedy:  "If the original error does not help, run the same command again with --verbose and report what it prints. Every error like this deserves a code of its own.",
		Example: "kubectl sbw rollout --tag TAG --verbose 2> sbw.log",
	},
	{
		Code:    "output-unwritable",
		Title:   "the result cannot be written to standard output",
		Symptom: "cannot write the result to standard output: no space left on device",
		Cause:   "Standard output is redirected to a file on a full disk, or to a device or pipe that accepts nothing. If the command was a rollout or a publish, it has completed; only its result was not printed. The exit code is then 5, because the changes remain.",
		Remedy:  "Free space on the disk, or redirect the output to another file. `kubectl sbw history` and `gh sbw tags` show what was done.",
		Example: "kubectl sbw history\ngh sbw tags",
	},
	{
		Code:    "usage",
		Title:   "the command line is wrong",
		Symptom: "Exit code 2, before anything was looked at.",
		Cause:   "The command or flag does not exist, the flag does not accept this value, or two of the flags exclude each other.",
		Remedy:  "Run the command with --help: it lists the flags and shows examples.",
		Example: "kubectl sbw rollout --help\ngh sbw publish --help",
		Aliases: []string{"unknown flag", "unknown command", "unknown shorthand flag", "required flag(s)"},
	},
}
