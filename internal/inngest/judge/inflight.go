package judge

// InFlight counts runs that have not ended.
type InFlight struct {
	// Begun runs execute a step, sleep, wait, or are between attempts.
	Begun int `json:"begun"`
	// Queued runs wait for their first step: no worker is connected, or a limit of
	// the function is reached. Nothing of them is executing anywhere.
	Queued int `json:"queued"`
}

// Total is the number of all runs that need their function to go on.
func (n InFlight) Total() int { return n.Begun + n.Queued }

// String describes the runs: "2 runs in flight and 1 queued run".
func (n InFlight) String() string {
	switch {
	case n.Queued == 0:
		return Count(n.Begun, "run") + " in flight"
	case n.Begun == 0:
		return Count(n.Queued, "queued run")
	}
	return Count(n.Begun, "run") + " in flight and " + Count(n.Queued, "queued run")
}
