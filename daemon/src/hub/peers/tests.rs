//! Peers without store and links: what is committed, and what links tell, is what these tests say.
