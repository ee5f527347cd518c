package manifest

// Stamp returns src with the image of the target's container set to ref. The
// bytes outside of the image scalar are those of src. When the image is ref
// already, out is src itself. An error is a *pipeline.Finding.
func Stamp(src []byte, t Target, ref string) (out []byte, e Edit, err error) {
	panic("in the making")
}
