package model

// Inspection is what a worker reports in answer to a signed GET.
type Inspection struct {
	AppID         string `json:"app_id"` // only if the signature was accepted
	FunctionCount int    `json:"function_count"`
	Mode          string `json:"mode"` // cloud, dev
	SDKVersion    string `json:"sdk_version"`
	SDKLanguage   string `json:"sdk_language"`
	APIOrigin     string `json:"api_origin"`   // the server with which it registers
	ServeOrigin   string `json:"serve_origin"` // what it advertises on its own
	ServePath     string `json:"serve_path"`
	HasSigningKey bool   `json:"has_signing_key"`
	HasEventKey   bool   `json:"has_event_key"`
	Authenticated bool   `json:"authentication_succeeded"`
}

// Served is what a worker would register.
type Served struct {
	App       string     `json:"app"`
	URL       string     `json:"url"` // as the worker would register it for this request
	SDK       string     `json:"sdk"`
	Functions []Function `json:"functions"`
	Inspection
}

// Registration is a worker's answer to the request to register.
type Registration struct {
	Status   int    `json:"status"`
	Message  string `json:"message"`
	Modified bool   `json:"modified"`
	// Kind is the server's if the worker complained about it.
	Kind string `json:"-"`
}

// RegisteredMessage is what the SDK answers after a successful registration.
const RegisteredMessage = "Successfully registered"

// OK reports whether the worker claims success. Only the server's own list
// proves it.
func (r Registration) OK() bool { return r.Status/100 == 2 && r.Message == RegisteredMessage }
