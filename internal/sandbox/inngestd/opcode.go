package inngestd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// opcode is one operation that an SDK reports in a 206 answer.
type opcode struct {
	Op          string          `json:"op"`
	ID          string          `json:"id"`
	Name        string          `json:"name"`
	DisplayName *string         `json:"displayName"`
	Opts        json.RawMessage `json:"opts"`
	Data        json.RawMessage `json:"data"`
	Error       *stepError      `json:"error"`
	Timing      struct {
		A int64 `json:"a"` // Unix nanoseconds
		B int64 `json:"b"` // nanoseconds after A
	} `json:"timing"`
}

func (o *opcode) name() string {
	switch {
	case o.DisplayName != nil:
		return *o.DisplayName
	case o.Name != "":
		return o.Name
	}
	return o.ID
}

// kind returns the GraphQL StepOp of an opcode.
func (o *opcode) kind() string {
	switch o.Op {
	case "Sleep":
		return "SLEEP"
	case "WaitForEvent":
		return "WAIT_FOR_EVENT"
	case "InvokeFunction":
		return "INVOKE"
	}
	return "RUN"
}

// memo is the result of a step that later calls get. It is always wrapped, so
// that the SDK can distinguish a value from an error.
func (o *opcode) memo() (json.RawMessage, error) {
	switch {
	case o.Op == "StepError" || o.Op == "StepFailed":
		return json.Marshal(map[string]any{"error": o.Error})
	case o.Op == "StepRun":
		return json.Marshal(map[string]any{"data": o.Data})
	case o.Data == nil:
		return json.RawMessage("null"), nil
	}
	return o.Data, nil // Step: the SDK has already wrapped it
}

// parseOpcodes reads the body of a 206: one opcode, or a list.
func parseOpcodes(body []byte) ([]*opcode, error) {
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return nil, fmt.Errorf("no response data")
	}
	var all []*opcode
	var err error
	switch body[0] {
	case '{':
		one := &opcode{}
		err = json.Unmarshal(body, one)
		all = []*opcode{one}
	case '[':
		err = json.Unmarshal(body, &all)
	default:
		return nil, fmt.Errorf("error reading generator opcode response: expected JSON object or array")
	}
	if err != nil {
		return nil, fmt.Errorf("error reading generator opcode response: %w", err)
	}
	for i, o := range all {
		if o == nil {
			return nil, fmt.Errorf("error validating generator opcode %d: opcode cannot be null", i)
		}
		if o.Op == "StepError" && o.Error == nil {
			return nil, fmt.Errorf("OpcodeStepError received without Error field set: %s", o.ID)
		}
	}
	return all, nil
}

var durationPart = regexp.MustCompile(`^(\d+(?:\.\d+)?)(ms|[smhdw])`)

// parseDuration reads the duration of a sleep or a timeout in the SDK's
// format: "1d12h", "30s", or a date.
func parseDuration(s string, now time.Time) (time.Duration, error) {
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return max(0, t.Sub(now)), nil
	}
	units := map[string]time.Duration{
		"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour,
		"d": 24 * time.Hour, "w": 7 * 24 * time.Hour,
	}
	var total time.Duration
	for rest := s; rest != ""; {
		m := durationPart.FindStringSubmatch(rest)
		if m == nil {
			return 0, fmt.Errorf("%q is not a duration", s)
		}
		n, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			return 0, err
		}
		total += time.Duration(n * float64(units[m[2]]))
		rest = rest[len(m[0]):]
	}
	return total, nil
}
