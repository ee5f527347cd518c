// Package worker describes what is shipped: the workers in .sbw.yaml, defaults for a repository without any
// configuration, and the labels that an image carries from publish to rollout. Load reads the configuration, and its
// Worker returns one worker.
package worker

import (
	"slices"
	"time"

	"github.com/joelhooks/gh-sbw/internal/imageref"
)

// DefaultName is the name of the worker that the defaults describe.
const DefaultName = "system-bus-worker"

// Worker is everything that both plugins know about one worker before they look at the outside world. Paths are
// relative to the repository's root unless they are absolute.
type Worker struct {
	Name string `yaml:"-"`
	// Image is a repository without a tag: ghcr.io/OWNER/NAME. If empty, it is ghcr.io/<owner of the git remote, or
	// else the login>/NAME.
	Image       imageref.Repository `yaml:"image"`
	Build       Build               `yaml:"build"`
	Deploy      Deploy              `yaml:"deploy"`
	Probe       Probe               `yaml:"probe"`
	Inngest     Inngest             `yaml:"inngest"`
	Catalog     Catalog             `yaml:"catalog"`
	Allow       Allow               `yaml:"allow"`
	Credentials Credentials         `yaml:"credentials"`
	Hooks       Hooks               `yaml:"hooks"`
}

// Build says how the image is built.
type Build struct {
	Context    string              `yaml:"context"`
	Dockerfile string              `yaml:"dockerfile"`
	Platforms  []imageref.Platform `yaml:"platforms"` // several platforms make an index
	Target     string              `yaml:"target"`
	Args       map[string]string   `yaml:"args"`
	Secrets    []string            `yaml:"secrets"` // in buildx's form: id=NAME[,src=FILE|,env=VAR]
	CacheFrom  []string            `yaml:"cacheFrom"`
	CacheTo    []string            `yaml:"cacheTo"`
	// LayerReuse replaces a layer that was rebuilt but has hardly changed by a published one.
	LayerReuse bool `yaml:"layerReuse"`
	// Compression says how layers are compressed: zstd, or gzip for runtimes older than containerd 1.5.
	Compression string `yaml:"compression"`
}

// Deploy says what runs the worker in the cluster.
type Deploy struct {
	Manifest   string        `yaml:"manifest"`
	Namespace  string        `yaml:"namespace"`
	Kind       string        `yaml:"kind"` // Deployment, StatefulSet or DaemonSet
	Deployment string        `yaml:"deployment"`
	Container  string        `yaml:"container"`
	Timeout    time.Duration `yaml:"timeout"`
	// Restarts is how often a new container may exit with an error before the rollout gives up; a worker whose
	// database comes up later needs some.
	Restarts int `yaml:"restarts"`
	// Strategy says how a new version replaces the old one: switch (it is proved before it serves), rolling, or auto:
	// switch where that is possible.
	Strategy string `yaml:"strategy"`
	// Bake is how long the new version is watched after the switch.
	Bake time.Duration `yaml:"bake"`
	// DrainTimeout limits the wait for steps on the old pods.
	DrainTimeout time.Duration `yaml:"drainTimeout"`
	// Prepull lets the nodes pull and try the image before anything is changed.
	Prepull bool `yaml:"prepull"`
}

// Probe is what a new pod must answer. In .sbw.yaml, the type alone can be written as one
// word: `probe: tcp`.
type Probe struct {
	Type   string `yaml:"type"` // http, h2c (HTTP/2 without TLS), tcp (the port is open) or none
	Path   string `yaml:"path"`
	Port   int    `yaml:"port"`   // Inngest also calls the worker on this port
	Expect string `yaml:"expect"` // a substring of the body; empty: any 2xx
}

// The values of probe.type.
const (
	ProbeHTTP = "http"
	ProbeH2C  = "h2c"
	ProbeTCP  = "tcp"
	ProbeNone = "none"
)

// ProbeTypes are the values of probe.type, the default first.
var ProbeTypes = []string{ProbeHTTP, ProbeH2C, ProbeTCP, ProbeNone}

// Asks reports whether the probe sends a request, which has a path and an answer.
func (p Probe) Asks() bool { return p.Type == ProbeHTTP || p.Type == ProbeH2C }

func (p *Probe) setWord(word string) bool {
	if !slices.Contains(ProbeTypes, word) {
		return false
	}
	p.Type = word
	return true
}

func (*Probe) words() []string { return ProbeTypes }

// NoInngest is the line of .sbw.yaml for a worker that registers nothing with Inngest.
const NoInngest = "inngest: none"

// Inngest says where the server is and how the worker registers. In .sbw.yaml, the word
// none means that the worker registers nothing.
type Inngest struct {
	Off bool   `yaml:"-"`
	URL string `yaml:"url"` // of the server; empty: its Service is reached by Via
	// Via is the route to Service: port-forward, direct (its NodePort, load balancer or
	// ingress), or auto (either).
	Via string `yaml:"via"`
	// SigningKeyFrom says where the signing key is (env:NAME, file:PATH, secret:[NAMESPACE/]NAME/KEY); if empty, it
	// is in the container's environment.
	SigningKeyFrom string `yaml:"signingKeyFrom"`
	// EventKeyFrom does the same for the key that rollout --confirm-run needs to send its event.
	EventKeyFrom string `yaml:"eventKeyFrom"`
	Service      string `yaml:"service"` // a name in the worker's namespace, or NAMESPACE/NAME
	Port         int    `yaml:"port"`
	App          string `yaml:"app"`  // the app's id: INNGEST_APP_ID of the worker
	Path         string `yaml:"path"` // of the SDK's endpoint on the worker
	// Host is the URL at which the server reaches the worker; if empty, INNGEST_SERVE_HOST of the container, or else
	// http://<Service of the worker>:PORT.
	Host string `yaml:"host"`
}

// Catalog names the modules whose exports a worker registers.
type Catalog struct {
	// Indexes are paths. The first lists what this worker's image registers; the others belong to other workers on
	// the same server, which are compared with it and never refuse a run.
	Indexes []string `yaml:"indexes"`
	// Checks sets a check's severity by its code: error, warning, off.
	Checks map[string]string `yaml:"checks"`
}

// Allow lists what is unsafe but intended, each with a reason.
type Allow struct {
	ZeroRetries map[string]string `yaml:"zeroRetries"` // function id: reason
}

// Credentials says where the registry's token comes from, before gh's login.
type Credentials struct {
	Command []string `yaml:"command"` // argv; prints the token on stdout
}

// Hooks are commands that are run after something has happened: argv, with the
// receipt as JSON on stdin.
type Hooks struct {
	Receipt []string `yaml:"receipt"` // after a rollout or an undo, however it ended
	Publish []string `yaml:"publish"` // after a publish that succeeded
	// Proven runs when the new version is proven, for example to register it with another
	// system. With ProvenRequired, its failure fails the rollout.
	Proven         []string `yaml:"proven"`
	ProvenRequired bool     `yaml:"provenRequired"`
}

func (i *Inngest) setWord(word string) bool {
	i.Off = word == "none"
	return i.Off
}

func (*Inngest) words() []string { return []string{"none"} }

// compressions repeats the values of package layer, so that a rollout need not link it.
var compressions = []string{"zstd", "gzip"}

// strategies are the values of deploy.strategy, the default first.
var strategies = []string{"auto", "switch", "rolling"}

// Default is the worker that needs no configuration.
func Default(name string) Worker {
	w := Worker{
		Name: name,
		Build: Build{
			Context:    ".",
			Dockerfile: "packages/system-bus/Dockerfile",
			Platforms:  []imageref.Platform{{OS: "linux", Arch: "arm64"}},
			LayerReuse: true, Compression: compressions[0],
		},
		Deploy: Deploy{
			Manifest:   "k8s/" + name + ".yaml",
			Namespace:  "joelclaw",
			Kind:       "Deployment",
			Deployment: name,
			Container:  name,
			Timeout:    180 * time.Second,
			Restarts:   2,
			Strategy:   strategies[0], DrainTimeout: 30 * time.Minute,
		},
		Probe: Probe{Type: ProbeHTTP, Path: "/", Port: 3111},
		Inngest: Inngest{
			Service: "inngest-svc",
			Port:    8288,
			App:     "system-bus-cluster",
			Path:    "/api/inngest",
		},
		Catalog: Catalog{Indexes: []string{
			"packages/system-bus/src/inngest/functions/index.cluster.ts",
			"packages/system-bus/src/inngest/functions/index.host.ts",
		}},
	}
	if name != DefaultName {
		w.Build.Dockerfile = "Dockerfile"
		w.Inngest.App = name
		w.Catalog.Indexes = nil
	}
	return w
}

// Annotations and labels that an image carries. The first four come from the OCI image specification
// (annotations.md); rollout reads the others.
const (
	LabelSource   = "org.opencontainers.image.source"
	LabelRevision = "org.opencontainers.image.revision"
	LabelCreated  = "org.opencontainers.image.created"
	LabelVersion  = "org.opencontainers.image.version"

	LabelDirty     = "dev.sbw.dirty"     // "true": built from a tree with uncommitted changes
	LabelWorker    = "dev.sbw.worker"    // the worker's name in .sbw.yaml
	LabelPublisher = "dev.sbw.publisher" // GitHub login
	LabelCatalog   = "dev.sbw.catalog"   // see package catalog

	// LabelLayerReuse says which layers come from an earlier image, and which are small ones on top; see package
	// reuse.
	LabelLayerReuse = "dev.sbw.layer-reuse"
)
