import ArgumentParser
@main struct Aerie: AsyncParsableCommand { }
