// TrainLightGBM
