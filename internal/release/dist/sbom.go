package dist

import (
	"cmp"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/joelhooks/gh-sbw/internal/release"
)

func sbomName(version string) string { return "sbw_" + version + ".spdx.json" }

// content describes what one binary consists of, read from the binary itself.
type content struct {
	asset  Asset
	sha256 string // the binary's own
	goVer  string
	deps   []*debug.Module
}

func contentOf(a Asset, bin string) (content, error) {
	info, err := buildinfo.ReadFile(bin)
	if err != nil {
		return content{}, err
	}
	sum, err := sha256Of(bin)
	return content{asset: a, sha256: sum, goVer: info.GoVersion, deps: info.Deps}, err
}

// spdxDocument and the types below are the part of SPDX 2.3
// (https://spdx.github.io/spdx-spec/v2.3/) that a list of modules needs.
type spdxDocument struct {
	Version       string             `json:"spdxVersion"`
	License       string             `json:"dataLicense"`
	ID            string             `json:"SPDXID"`
	Name          string             `json:"name"`
	Namespace     string             `json:"documentNamespace"`
	Creation      spdxCreation       `json:"creationInfo"`
	Describes     []string           `json:"documentDescribes"`
	Packages      []spdxPackage      `json:"packages"`
	Relationships []spdxRelationship `json:"relationships"`
}

type spdxCreation struct {
	Created  string   `json:"created"`
	Creators []string `json:"creators"`
}

type spdxPackage struct {
	ID               string         `json:"SPDXID"`
	Name             string         `json:"name"`
	Version          string         `json:"versionInfo"`
	FileName         string         `json:"packageFileName,omitempty"`
	Download         string         `json:"downloadLocation"`
	FilesAnalyzed    bool           `json:"filesAnalyzed"`
	LicenseConcluded string         `json:"licenseConcluded"`
	LicenseDeclared  string         `json:"licenseDeclared"`
	Copyright        string         `json:"copyrightText"`
	Purpose          string         `json:"primaryPackagePurpose,omitempty"`
	Checksums        []spdxChecksum `json:"checksums,omitempty"`
	References       []spdxRef      `json:"externalRefs,omitempty"`
	Comment          string         `json:"comment,omitempty"`
}

type spdxChecksum struct {
	Algorithm string `json:"algorithm"`
	Value     string `json:"checksumValue"`
}

type spdxRef struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

type spdxRelationship struct {
	Element string `json:"spdxElementId"`
	Type    string `json:"relationshipType"`
	Related string `json:"relatedSpdxElement"`
}

// sbom lists the modules of every binary: one package for each binary, one for each
// version of a module, and which contains which.
func sbom(o Options, contents []content) ([]byte, error) {
	doc := spdxDocument{
		Version: "SPDX-2.3", License: "CC0-1.0", ID: "SPDXRef-DOCUMENT", Name: "sbw " + o.Version,
		Namespace: "https://github.com/" + release.Repository + "/releases/download/" + o.Version + "/" + sbomName(o.Version),
		Creation:  spdxCreation{o.Date.Format(time.RFC3339), []string{"Tool: github.com/joelhooks/gh-sbw/internal/release/dist"}},
	}
	modules := map[string]spdxPackage{}
	var same error
	contain := func(binary string, p spdxPackage) {
		if other, ok := modules[p.ID]; ok && other.Name != p.Name {
			same = fmt.Errorf("%s and %s have the same SPDX identifier %s", other.Name, p.Name, p.ID)
		}
		modules[p.ID] = p
		doc.Relationships = append(doc.Relationships, spdxRelationship{binary, "CONTAINS", p.ID})
	}
	for _, c := range contents {
		p := spdxPackage{
			ID: spdxID("Binary", c.asset.Name), Name: c.asset.Plugin, Version: o.Version, FileName: c.asset.Name,
			Download:         "https://github.com/" + release.Repository + "/releases/download/" + o.Version + "/" + c.asset.Name,
			LicenseConcluded: "MIT", LicenseDeclared: "MIT", Copyright: "NOASSERTION", Purpose: "APPLICATION",
			Checksums: []spdxChecksum{{"SHA256", c.sha256}},
			Comment:   "The checksum is that of the executable for " + c.asset.Target.String() + ".",
		}
		doc.Describes = append(doc.Describes, p.ID)
		doc.Packages = append(doc.Packages, p)
		doc.Relationships = append(doc.Relationships, spdxRelationship{doc.ID, "DESCRIBES", p.ID})
		contain(p.ID, module("stdlib", strings.TrimPrefix(c.goVer, "go"), ""))
		for _, m := range c.deps {
			if m.Replace != nil {
				m = m.Replace
			}
			contain(p.ID, module(m.Path, m.Version, m.Sum))
		}
	}
	if same != nil {
		return nil, same
	}
	for _, p := range modules {
		doc.Packages = append(doc.Packages, p)
	}
	slices.SortFunc(doc.Packages, func(a, b spdxPackage) int { return cmp.Compare(a.ID, b.ID) })
	text, err := json.MarshalIndent(doc, "", "  ")
	return append(text, '\n'), err
}

func module(path, version, sum string) spdxPackage {
	p := spdxPackage{
		ID: spdxID("Module", path+"-"+version), Name: path, Version: version,
		Download:         "NOASSERTION",
		LicenseConcluded: "NOASSERTION", LicenseDeclared: "NOASSERTION", Copyright: "NOASSERTION", Purpose: "LIBRARY",
		// https://github.com/package-url/purl-spec/blob/main/types-doc/golang-definition.md
		References: []spdxRef{{"PACKAGE-MANAGER", "purl", "pkg:golang/" + path + "@" + url.PathEscape(version)}},
	}
	if sum != "" {
		// h1: is a digest of a list of file digests rather than of a file, so it is
		// not a checksum in the sense of SPDX.
		p.Comment = "go.sum " + sum
	}
	return p
}

var notInID = regexp.MustCompile(`[^A-Za-z0-9.-]+`)

// spdxID returns an identifier that contains only the characters that SPDX
// allows.
func spdxID(kind, name string) string {
	return "SPDXRef-" + kind + "-" + notInID.ReplaceAllString(name, "-")
}
