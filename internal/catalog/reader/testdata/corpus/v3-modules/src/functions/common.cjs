const ids = require("./ids.json");
exports.ids = ids.common;
module.exports.suffix = "cjs";
