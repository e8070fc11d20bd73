// StoreFiles
