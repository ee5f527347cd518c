package runnable

import (
	"bytes"
	"encoding/binary"
	"strings"
)

// inspect classifies the first bytes of a file.
func inspect(b []byte) (head, kind) {
	switch {
	case bytes.HasPrefix(b, []byte("\x7fELF")) && len(b) >= 20:
		return elf(b), program
	case bytes.HasPrefix(b, []byte("#!")):
		line, _, _ := bytes.Cut(b[2:min(len(b), 256)], []byte("\n"))
		return head{Shebang: strings.Trim(strings.ToValidUTF8(string(line), "?"), " \t")}, script
	}
	return head{}, other
}

// elf reads the header of an ELF file, and its PT_INTERP if that is within b
// (System V ABI, chapters 4 and 5). Anything invalid is ignored: refusing a
// broken file is up to the kernel.
func elf(b []byte) (h head) {
	h.Class, h.Big = b[4], b[5] == 2
	var o binary.ByteOrder = binary.LittleEndian
	if h.Big {
		o = binary.BigEndian
	}
	h.Machine = o.Uint16(b[18:])
	var phoff uint64
	var size, count int
	switch {
	case h.Class == 2 && len(b) >= 64:
		phoff, size, count = o.Uint64(b[32:]), int(o.Uint16(b[54:])), int(o.Uint16(b[56:]))
	case h.Class == 1 && len(b) >= 52:
		phoff, size, count = uint64(o.Uint32(b[28:])), int(o.Uint16(b[42:])), int(o.Uint16(b[44:]))
	default:
		return h
	}
	const ptInterp = 3
	least := map[byte]int{1: 32, 2: 56}[h.Class]
	if size < least {
		return h
	}
	for i := range count {
		at := phoff + uint64(i)*uint64(size)
		if at > uint64(len(b)) || uint64(len(b))-at < uint64(least) {
			return h
		}
		p := b[at:]
		if o.Uint32(p) != ptInterp {
			continue
		}
		var off, n uint64
		if h.Class == 2 {
			off, n = o.Uint64(p[8:]), o.Uint64(p[32:])
		} else {
			off, n = uint64(o.Uint32(p[4:])), uint64(o.Uint32(p[16:]))
		}
		if off <= uint64(len(b)) && n <= uint64(len(b))-off {
			name, _, _ := bytes.Cut(b[off:off+n], []byte{0})
			h.Loader = strings.ToValidUTF8(string(name), "?")
		}
		return h
	}
	return h
}

// machines maps Go's names of architectures, as used in image configs, to values
// of e_machine. There is more than one if the processor runs several kinds.
var machines = map[string][]uint16{
	"amd64":   {62, 3}, // x86-64, and 386, which the kernel still runs
	"386":     {3},
	"arm64":   {183},
	"arm":     {40},
	"riscv64": {243},
	"ppc64le": {21},
	"ppc64":   {21},
	"s390x":   {22},
	"loong64": {258},
	"mips":    {8}, "mipsle": {8}, "mips64": {8}, "mips64le": {8},
}

// machineName returns the name that image configs use for an e_machine.
func machineName(h head) string {
	names := map[uint16]string{
		3:   "386",
		8:   "mips",
		21:  "ppc64",
		22:  "s390x",
		40:  "arm",
		62:  "amd64",
		183: "arm64",
		243: "riscv64",
		258: "loong64",
	}
	name := names[h.Machine]
	switch {
	case name == "":
		return "an unknown machine"
	case h.Machine == 21 && !h.Big:
		return "ppc64le"
	}
	return name
}

// runs reports whether a program with the given header runs on arch. An unknown
// architecture is assumed to run anything.
func runs(h head, arch string) bool {
	want, ok := machines[arch]
	if !ok {
		return true
	}
	for _, m := range want {
		if m == h.Machine {
			return m != 21 || h.Big == (arch == "ppc64")
		}
	}
	return false
}
