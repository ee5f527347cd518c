package build

import "strings"

// MadeBy returns the line of the Dockerfile (file:line) that made a layer, and
// whether it copies from the build context. createdBy is from the image's
// history. The line is empty if none matches, because the layer comes from the
// base image or the line contains variables.
func MadeBy(req Request, createdBy string) (where string, fromContext bool) {
	d, err := readDockerfile(req.Dockerfile)
	if err != nil || !d.plain() {
		return "", false // CheckDockerfile reports it
	}
	last := len(d.stages) - 1
	if req.Target != "" {
		last = d.find(req.Target, len(d.stages))
	}
	said := words(createdBy)
	seen := map[int]bool{}
	// Search the stage that becomes the image, and the stages that it is based on.
	for i := last; i >= 0 && !seen[i]; {
		seen[i] = true
		s := d.stages[i]
		for n := len(s.instrs) - 1; n >= 0; n-- {
			in := s.instrs[n]
			if !makes(in, said) {
				continue
			}
			_, from := in.flag("from")
			return place(req, in.line), (in.name == "COPY" || in.name == "ADD") && !from
		}
		base, _ := expand(s.base, d.args)
		i = d.find(base, i)
	}
	return "", false
}

func words(s string) string { return strings.Join(strings.Fields(s), " ") }

// makes reports whether an instruction may have created a layer with this
// history: `COPY /app/node_modules ./node_modules # buildkit`, `RUN |1 A=1
// /bin/sh -c pnpm install # buildkit`, or, from Docker's own builder, `/bin/sh -c
// pnpm install`.
func makes(in instr, said string) bool {
	switch in.name {
	case "COPY", "ADD":
		return strings.HasPrefix(said, in.name+" ") && strings.Contains(said+" ", " "+strings.Join(in.words, " ")+" ")
	case "WORKDIR":
		return said == "WORKDIR "+in.rest
	case "RUN":
		command := words(in.rest)
		if strings.HasPrefix(in.rest, "[") {
			command = strings.Join(in.words, " ")
		}
		said = strings.TrimSuffix(said, " # buildkit")
		return command != "" && strings.HasSuffix(said, " "+command) || in.here && strings.Contains(said, " "+command)
	}
	return false
}
