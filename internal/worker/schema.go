package worker

import (
	"encoding"
	"reflect"
	"strings"
)

// Schema returns the JSON schema of .sbw.yaml for editors. It is derived from
// the types that the file is read into, so it has the same keys.
func Schema() map[string]any {
	one := schemaOf(reflect.TypeFor[Worker](), "", reflect.ValueOf(Default("NAME")))
	return map[string]any{
		"$schema":              "https://json-schema.org/draft/2020-12/schema",
		"title":                ConfigName,
		"description":          "the workers of a repository, as gh sbw and kubectl sbw read them",
		"type":                 []string{"object", "null"},
		"additionalProperties": false,
		"properties": map[string]any{
			"workers": map[string]any{
				"description":          "the workers by name; " + DefaultName + " needs no entry",
				"type":                 []string{"object", "null"},
				"additionalProperties": one,
			},
		},
	}
}

// properties returns the schemas of a type's fields.
func properties(t reflect.Type, at string, def reflect.Value) map[string]any {
	all := map[string]any{}
	for i := range t.NumField() {
		if key := t.Field(i).Tag.Get("yaml"); key != "-" {
			all[key] = schemaOf(t.Field(i).Type, strings.TrimPrefix(at+"."+key, "."), def.Field(i))
		}
	}
	return all
}

// schemaOf returns the schema of a type at a path below a worker; def contains the
// defaults.
func schemaOf(t reflect.Type, at string, def reflect.Value) map[string]any {
	s := map[string]any{}
	if text := descriptions[at]; text != "" {
		s["description"] = text
	}
	if values := allowed[at]; values != nil {
		s["enum"] = values
	}
	kind := "string"
	var words []string // the type of the word that may replace an object
	switch {
	case t == durationType:
		s["pattern"] = `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`
		s["default"] = def.Interface().(interface{ String() string }).String()
	case reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
	case t.Kind() == reflect.Int:
		kind = "integer"
		s["minimum"] = 0
		if strings.HasSuffix(at, ".port") {
			s["minimum"], s["maximum"] = 1, 65535
		}
		s["default"] = def.Int()
	case t.Kind() == reflect.Bool:
		kind = "boolean"
		s["default"] = def.Bool()
	case t.Kind() == reflect.Slice:
		kind = "array"
		s["items"] = schemaOf(t.Elem(), at+"[]", reflect.Zero(t.Elem()))
	case t.Kind() == reflect.Map:
		kind = "object"
		s["additionalProperties"] = schemaOf(t.Elem(), at+".*", reflect.Zero(t.Elem()))
	case t.Kind() == reflect.Struct:
		kind = "object"
		s["additionalProperties"] = false
		s["properties"] = properties(t, at, def)
		if w, ok := reflect.New(t).Interface().(worded); ok { // a pattern only applies to strings
			s["pattern"], words = "^("+strings.Join(w.words(), "|")+")$", []string{"string"}
		}
	default:
		if strings.HasSuffix(at, ".path") {
			s["pattern"] = urlPathPattern
		}
		if text := def.String(); text != "" && !strings.Contains(text, "NAME") {
			s["default"] = text
		}
	}
	if strings.HasSuffix(at, "[]") || strings.HasSuffix(at, ".*") {
		delete(s, "default")
		s["type"] = kind
		return s
	}
	s["type"] = append([]string{kind, "null"}, words...) // a key without a value keeps the default
	if values, ok := s["enum"].([]string); ok {
		all := []any{nil}
		for _, v := range values {
			all = append(all, v)
		}
		s["enum"] = all
	}
	return s
}

// allowed lists the values of keys that accept only certain ones.
var allowed = map[string][]string{
	"deploy.kind":       kinds,
	"build.compression": compressions,
	"deploy.strategy":   strategies,
	"probe.type":        ProbeTypes,
	"inngest.via":       {"auto", "port-forward", "direct"},
	"catalog.checks.*":  {"error", "warning", "note", "off"},
}

// descriptions are what an editor shows for each key.
var descriptions = map[string]string{
	"image":                  "the repository of the image, without a tag; default ghcr.io/OWNER/NAME",
	"build":                  "how the image is built",
	"build.context":          "the build context's directory",
	"build.dockerfile":       "the Dockerfile's path",
	"build.platforms":        "os/arch, such as linux/arm64; several platforms make an index",
	"build.target":           "the stage to build; default the last one",
	"build.args":             "build arguments; they are visible in the image's history",
	"build.secrets":          "build secrets in buildx's form: id=NAME,src=FILE or id=NAME,env=VAR",
	"build.cacheFrom":        "caches to read, in buildx's form",
	"build.cacheTo":          "caches to write, in buildx's form",
	"build.layerReuse":       "reuse a published layer in place of one that was rebuilt but has hardly changed",
	"build.compression":      "how layers are compressed",
	"deploy":                 "what runs the worker in the cluster",
	"deploy.manifest":        "a file, a directory or a kustomization; default k8s/NAME.yaml",
	"deploy.namespace":       "the namespace of the workload",
	"deploy.kind":            "the kind of the workload",
	"deploy.deployment":      "the workload's name; default the worker's",
	"deploy.container":       "the container whose image is set; default the worker's name",
	"deploy.timeout":         "how long a rollout may take, such as 3m",
	"deploy.restarts":        "how often a new container may exit with an error before the rollout gives up",
	"deploy.strategy":        "how a new version replaces the old one: switch proves it before it serves, auto where possible, rolling never",
	"deploy.bake":            "how long the new version is watched after the switch, such as 5m; default not at all",
	"deploy.drainTimeout":    "how long to wait for steps on the old pods, such as 1h",
	"deploy.prepull":         "let the nodes pull the image and execute a program of it before anything is changed",
	"probe":                  "what a new pod must answer; one word stands for the type alone, such as tcp or none",
	"probe.type":             "http, h2c (HTTP/2 without TLS), tcp (the port accepts connections) or none",
	"probe.path":             "the path of the request",
	"probe.port":             "the container's port",
	"probe.expect":           "text that the answer's body must contain; by default any 2xx answer is accepted",
	"inngest":                "where the Inngest server is, and how the worker registers; none for a worker that registers nothing",
	"inngest.url":            "the server's URL; by default its Service is reached as via says",
	"inngest.via":            "how the Service is reached",
	"inngest.signingKeyFrom": "where the signing key is: env:NAME, file:PATH or secret:[NAMESPACE/]NAME/KEY",
	"inngest.eventKeyFrom":   "where the event key is, in the same forms",
	"inngest.service":        "the server's Service: NAME or NAMESPACE/NAME",
	"inngest.port":           "the Service's port",
	"inngest.app":            "the app's id: INNGEST_APP_ID of the worker",
	"inngest.path":           "the path of the SDK's endpoint on the worker",
	"inngest.host":           "the URL at which the server reaches the worker",
	"catalog":                "the functions that the worker registers",
	"catalog.indexes":        "the modules that list functions: first this worker's, then those of other workers on the same server",
	"catalog.checks":         "a check's severity by its code",
	"allow":                  "exceptions: what is unsafe but intended, each with a reason",
	"allow.zeroRetries":      "functions that may have retries: 0, by id, with the reason",
	"credentials":            "where the registry's token comes from, before gh's login",
	"credentials.command":    "a command and its arguments; it prints the token",
	"hooks":                  "commands that are run after something has happened",
	"hooks.receipt":          "a command and its arguments; it gets the receipt of a rollout or undo, however that ended, as JSON on stdin",
	"hooks.publish":          "a command and its arguments; it gets the receipt of a successful publish as JSON on stdin",
	"hooks.proven":           "a command and its arguments; runs when a version has proven itself and gets a receipt as JSON on stdin",
	"hooks.provenRequired":   "let a rollout fail, and restore what ran before, when hooks.proven fails; otherwise that is a warning",
}
