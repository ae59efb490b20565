//! Message headers: everything between <|start|> and <|message|>.
