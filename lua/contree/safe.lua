--- The API of contree with failures returned as nil, err. Misuse still raises,
--- and so do iterators, which have no other way to tell an error from the end.

return require("contree.stub").make(true)
